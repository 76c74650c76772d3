"""What redaction masks in a text, and what stays readable."""

import base64
import html
import json
import os
import re
import shlex
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape, quoteattr

import pytest

from pytest_deploygate.core.redaction import Redactor, secrets_among, strip_queries, strip_query
from tests.secret_corpus import HARMLESS, PLANTED, Planted, text_of

SECRET = "s3cret/with+signs"
IN_ADDRESSES = """
X-Goog-Signature X-Goog-Credential X-Amz-Signature X-Amz-Credential X-Amz-Security-Token
Signature sig token access_token id_token apikey api_key API_KEY key password secret
"""
SECRET_NAMES = """
CLIENT_SECRET SECRETS secret GITHUB_TOKEN TOKENS DB_PASSWORD DB_PASSWD SSH_PASSPHRASE
MY_CREDENTIALS SHOP_API_KEY APIKEY AWS_ACCESS_KEY_ID ACCESSKEY PRIVATE_KEY_1 PRIVATEKEY
SIGNING_KEY_1 SIGNINGKEY SLACK_WEBHOOK_URL KEY SSH_KEY ssh_key PAT GITHUB_PAT AUTH NPM_AUTH DSN
SENTRY_DSN DB_PASS DB_pass PASS SHOP_SK SK SHOP_CREDS MYSQL_PWD SESSION_JWT
"""
OTHER_NAMES = """
PATH KEYBOARD KEY_FILE_NAME MONKEY COMPAT PATTERN OAUTH AUTHOR DSN_HOST API_URL ACCESS_LOG
PRIVATE_NETWORK SIGNING_REGION PASSED PWD OLDPWD BYPASS COMPASS PASS_RATE TASK DISK
"""


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
    """No part of it stays at either end."""
    value = f"abcdefgh{middle}ijklmnop{end}"
    clean = Redactor([value])
    assert clean(f"<{value}>") == "<***>"
    assert clean(f"<{json.dumps(value)[1:-1]}>") == "<***>"
    assert clean(f"<{repr(value)[1:-1]}>") == "<***>"
    assert clean(f"<{quote(value, safe='')}>") == "<***>"


def test_value_of_a_single_line_is_not_looked_for_in_pieces() -> None:
    """Only a line feed ends a line of a key."""
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


@pytest.mark.parametrize("before", ["?", "?a=1&", "?a=1;"])
@pytest.mark.parametrize("name", IN_ADDRESSES.split())
def test_signature_or_key_in_an_address_is_taken_out(name: str, before: str) -> None:
    address = f"https://x.example/{before}{name}="
    assert Redactor()(f"{address}a/b%2Bc") == f"{address}***"


@pytest.mark.parametrize("after", ["&b=2", ";b=2", " b", "\nb", '"b', "'b", "<b", ">b", ")b", "]b"])
def test_what_follows_a_signature_stays(after: str) -> None:
    assert Redactor()(f"x?sig=abc{after}") == f"x?sig=***{after}"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("authorization: bearer  abcdefgh, then", "authorization: bearer  ***, then"),
        ("Bearer a.b~c+d/e=f-g_h!", "Bearer ***!"),
        ("Bearer abcdefg", "Bearer abcdefg"),
        ("forbearer abcdefgh", "forbearer abcdefgh"),
        ("<ya29.a0-b_c>", "<***>"),
        ("maya29.a0", "maya29.a0"),
        ("ya29,a0", "ya29,a0"),
        ("<eyJhb-G.eyJz_W.s-i_g>", "<***>"),
        ("eyJhbG.eyJzdW", "eyJhbG.eyJzdW"),
        ("greyJhbG.eyJzdW.sig", "greyJhbG.eyJzdW.sig"),
        ("the key=value of it", "the key=value of it"),
        ("HTTPS://u:p@h", "HTTPS://***@h"),
        ("url_https://u:p@h", "url_https://***@h"),
        ("x+y.z-1://u@h and more@h", "x+y.z-1://***@h and more@h"),
        ("https://h/p/a@b", "https://h/p/a@b"),
        ("https://h is mail@h", "https://h is mail@h"),
        ("['https://h', 'a@b']", "['https://h', 'a@b']"),
        ('["https://h","a@b"]', '["https://h","a@b"]'),
        ("https://@h", "https://@h"),
    ],
)
def test_secret_is_known_by_its_shape_and_only_by_that(text: str, clean: str) -> None:
    assert Redactor()(text) == clean


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "PKCS8 EC PRIVATE KEY"])
def test_private_key_is_taken_out_whole(kind: str) -> None:
    key = f"-----BEGIN {kind}-----\nab\ncd\n-----END {kind}-----"
    assert Redactor()(f"one {key} two {key} three") == "one *** two *** three"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PUBLIC KEY-----\nab\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nab\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_stays(text: str) -> None:
    assert Redactor()(text) == text


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_variable_is_secret_by_its_name(name: str) -> None:
    assert secrets_among({name: "value"}) == {"value"}


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_variable_is_not_secret_by_a_name_that_only_resembles_one(name: str) -> None:
    assert secrets_among({name: "value"}) == set()


@pytest.mark.parametrize("path", ["/path/to/key.json", "./key.json", "~/key.json", "../key.json"])
@pytest.mark.parametrize(
    "name", ["GOOGLE_APPLICATION_CREDENTIALS", "WEB_IDENTITY_TOKEN_FILE", "SECRET_PATH", "KEY_DIR"]
)
def test_path_of_a_file_is_no_secret(name: str, path: str) -> None:
    assert secrets_among({name: path}) == set()


@pytest.mark.parametrize("name", ["DB_PASSWORD", "SHOP_CREDENTIALS", "API_KEY", "DB_PASS"])
@pytest.mark.parametrize("value", ["/s3cret-value", "./s3cret-value", "~s3cret-value", "/a/b+c=="])
def test_value_that_only_begins_like_a_path_is_a_secret(name: str, value: str) -> None:
    assert secrets_among({name: value}) == {value}


def test_headers_for_a_collector_are_secrets() -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k3y%20of%20us, x-tenant = tenant=7",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization=Basic%20abc",
    }
    assert secrets_among(variables) == {"k3y of us", "tenant=7", "Basic abc"}
    assert secrets_among({"OTEL_RESOURCE_ATTRIBUTES": "team=payments"}) == set()


def test_password_in_an_address_is_a_secret_whatever_the_variable_is_called() -> None:
    variables = {"DATABASE_URL": "postgresql://app:s3cret-value@db/app", "HOME": "/root"}
    assert secrets_among(variables) == {"s3cret-value"}
    assert secrets_among({"PAGE": "https://h/a:b@c"}) == set()


AWKWARD = "s3cret/with <all> \"of\" 'it' & +more\\é?"
SHOWN_AS_MASKED = {
    "documented AWS key",
    ".netrc with a placeholder",
    "URL without a password",
    "URL with a placeholder",
    "URL with a variable",
    "URL in an f-string",
    "URL of a test container",
    "address of a repository",
    "allowed on the line",
}
"""Texts that a source may contain and that are masked in output nevertheless: masking too much costs nothing."""

FORMS = {
    "as it is": AWKWARD,
    "percent-encoded": quote(AWKWARD, safe=""),
    "percent-encoded path": quote(AWKWARD),
    "percent-encoded in small letters": re.sub(
        "%..", lambda c: c[0].lower(), quote(AWKWARD, safe="")
    ),
    "plus-encoded": quote_plus(AWKWARD),
    "form": urlencode({"q": AWKWARD}).removeprefix("q="),
    "HTML": html.escape(AWKWARD),
    "HTML text": html.escape(AWKWARD, quote=False),
    "XML text": escape(AWKWARD),
    "XML attribute": quoteattr(AWKWARD)[1:-1],
    "JSON": json.dumps(AWKWARD),
    "JSON with letters": json.dumps(AWKWARD, ensure_ascii=False),
    "JSON in JSON": json.dumps(json.dumps({"k": AWKWARD})),
    "Python": repr(AWKWARD),
    "Python in Python": repr(repr(AWKWARD)[1:-1]),
    "bytes": repr(AWKWARD.encode()),
    "shell": shlex.quote(AWKWARD),
    "base64": base64.b64encode(AWKWARD.encode()).decode(),
    "base64 after one letter": base64.b64encode(f"u{AWKWARD}".encode()).decode(),
    "base64 of a header": base64.b64encode(f"me:{AWKWARD}".encode()).decode(),
    "base64 within more": base64.b64encode(f"user:{AWKWARD}, and more".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(AWKWARD.encode()).decode(),
    "base64 in an address": quote(base64.b64encode(AWKWARD.encode()).decode(), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
def test_known_value_is_found_in_every_form_that_programs_write(form: str) -> None:
    clean = Redactor([AWKWARD])(f"<{FORMS[form]}>")
    assert "***" in clean
    left = clean.replace("***", "").strip("<>")
    assert len(left) <= 24, "what stood before and behind it, and marks that belong to the form"
    assert "s3cret" not in clean


def test_value_that_is_no_text_is_found_too() -> None:
    value = os.fsdecode(b"s3cret\xff\xfe-value")
    assert Redactor([value])(f"<{value}>") == "<***>"
    assert Redactor([value])("<s3cret%FF%FE-value>") == "<***>"


@pytest.mark.parametrize("planted", PLANTED, ids=[p.kind for p in PLANTED])
def test_what_the_scan_of_a_source_knows_is_taken_out_of_texts(planted: Planted) -> None:
    text = text_of(planted.content)
    assert planted.secret in text
    assert planted.secret not in Redactor()(text)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in HARMLESS])
def test_text_that_only_resembles_a_secret_stays_readable(kind: str) -> None:
    text = {k: text for k, _, text in HARMLESS}[kind]
    if kind in SHOWN_AS_MASKED:
        assert "***" in Redactor()(text)
    else:
        assert Redactor()(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("put https://h/o?sig=a&x=1, then", "put https://h/o?*** then"),
        ("GET /o?a=1 and /p", "GET /o?*** and /p"),
        ("https://console.cloud.google.com/logs?q=1", "https://console.cloud.google.com/logs?q=1"),
        ("postgresql://u:p@h/d", "postgresql://***@h/d"),
        ("Bearer abcdefgh.ijkl and why?", "Bearer *** and why?"),
    ],
)
def test_queries_of_addresses_are_taken_out_whole(text: str, clean: str) -> None:
    assert strip_queries(text) == clean


def test_address_is_shown_without_query_fragment_and_who_calls() -> None:
    assert strip_query("https://u:p@h/o?a=1#b") == "https://***@h/o"
    assert strip_query("https://h/o#b?c") == "https://h/o"
