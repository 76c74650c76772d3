"""What is taken out of a text, and what stays readable."""

import json
from urllib.parse import quote

import pytest

from pytest_deploygate.core.redaction import Redactor, secrets_among

SECRET = "s3cret/with+signs"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"the key is {SECRET}.", "the key is ***."),
        ("the key is s3cret%2Fwith%2Bsigns", "the key is ***"),
        ("assert 's3cr...signs' == ''", "assert '***...***' == ''"),
        ("assert 'abc...signs' == ''", "assert 'abc...***' == ''"),
        ("wait ... and see", "wait ... and see"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("https://x.example/?a=1&sig=abc&b=2", "https://x.example/?a=1&sig=***&b=2"),
        ("https://x.example/?X-Goog-Signature=abc", "https://x.example/?X-Goog-Signature=***"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://***@h/d"),
        ("ya29.a0AfH6SM-x", "***"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "***"),
        ("https://x.example/?page=2#top", "https://x.example/?page=2#top"),
        ("nothing to see", "nothing to see"),
    ],
)
def test_text_keeps_everything_but_the_secrets(text: str, clean: str) -> None:
    redactor = Redactor([SECRET])
    assert redactor(text) == clean
    assert redactor(redactor(text)) == clean


def test_values_are_learned_line_by_line_and_short_ones_left_alone() -> None:
    redactor = Redactor()
    redactor.learn(["first line of a key\nsecond line of a key", "short"])
    assert redactor("second line of a key, and short") == "***, and short"


@pytest.mark.parametrize("end", ["", "x"])
@pytest.mark.parametrize("middle", ['"', "\n", "\\", "é", "\x0b"])
def test_value_is_found_as_json_and_python_write_it(middle: str, end: str) -> None:
    """Nothing of it is left at either end."""
    value = f"abcdefgh{middle}ijklmnop{end}"
    clean = Redactor([value])
    assert clean(f"<{value}>") == "<***>"
    assert clean(f"<{json.dumps(value)[1:-1]}>") == "<***>"
    assert clean(f"<{repr(value)[1:-1]}>") == "<***>"
    assert clean(f"<{quote(value, safe='')}>") == "<***>"


def test_value_of_a_single_line_is_not_looked_for_in_pieces() -> None:
    """Other characters than a line feed do not end a line of a key."""
    assert Redactor(["first part\x0bsecond part"])("second part") == "second part"


def test_values_learned_before_stay_known() -> None:
    redactor = Redactor(["first-value"])
    redactor.learn(["second-value"])
    assert redactor("first-value second-value") == "*** ***"


@pytest.mark.parametrize(("value", "clean"), [("seven77", "seven77"), ("eight888", "***")])
def test_value_is_looked_for_from_eight_characters_on(value: str, clean: str) -> None:
    assert Redactor([value])(value) == clean


@pytest.mark.parametrize(("end", "clean"), [("igns", "***"), ("gns", "gns")])
def test_end_of_a_value_is_known_by_four_characters(end: str, clean: str) -> None:
    assert Redactor([SECRET])(f"x...{end}") == f"x...{clean}"


def test_ellipsis_is_left_alone_where_nothing_is_known() -> None:
    assert Redactor()("one...two") == "one...two"


def test_what_looks_like_a_secret_is_taken_out_though_none_is_known() -> None:
    assert Redactor()("Authorization: Bearer abcdefgh.ijkl") == "Authorization: Bearer ***"


def test_the_longest_value_goes_first() -> None:
    assert Redactor(["password", "password-and-more"])("password-and-more") == "***"
    assert Redactor(["zzzzzzzz", "a-zzzzzzzz-b"])("a-zzzzzzzz-b") == "***"


def test_variables_are_secret_by_their_names() -> None:
    variables = {
        "SHOP_API_KEY": "one",
        "GITHUB_TOKEN": "two",
        "DB_PASSWORD": "three",
        "SENTRY_DSN": "four",
        "PATH": "five",
        "KEYBOARD": "six",
        "GOOGLE_APPLICATION_CREDENTIALS": "/path/to/key.json",
        "OTHER_CREDENTIALS": "./key.json",
        "MY_CREDENTIALS": "~/key.json",
    }
    assert secrets_among(variables) == {"one", "two", "three", "four"}
