"""Of sixty lines of a traceback three are read."""

from pytest_deploygate.core.failure_excerpt import excerpt_of

START = """\
the new revision did not start: service hello. Revision 'hello-00001-hqc' is not ready.
Traceback (most recent call last):
  File "/x/environment/lib/python3.11/site-packages/functions_framework/__init__.py", line 387, in create_app
    spec.loader.exec_module(source_module)
  File "/x/instances/99/workspace/shop/main.py", line 2, in <module>
    SETTING = os.environ["NOT_SET"]
              ~~~~~~~~~~^^^^^^^^^^^
  File "<frozen os>", line 679, in __getitem__
KeyError: 'NOT_SET'
"""


def test_start_that_fails_is_its_exception_with_the_users_own_line() -> None:
    found = excerpt_of(START)
    assert found.sentence == "the new revision did not start: KeyError: 'NOT_SET' (shop/main.py:2)"
    assert found.source == 'SETTING = os.environ["NOT_SET"]'
    assert found.revision == "hello-00001-hqc"


def test_build_that_fails_is_the_last_error_of_pip() -> None:
    text = (
        "the build failed: step 2\nCollecting nothing\nERROR: No version\nERROR: No distribution\n"
    )
    assert excerpt_of(text).sentence == "the build failed: ERROR: No distribution"


def test_syntax_error_at_the_end_of_a_message_has_a_place_without_source() -> None:
    found = excerpt_of(
        'the build failed: x\nSyntaxError: invalid syntax\n  File "/workspace/main.py", line 3'
    )
    assert (found.place, found.source) == ("main.py:3", "")


def test_message_of_one_line_stays_as_it_is() -> None:
    for text in ("the build failed: quota exceeded", ""):
        assert excerpt_of(text).sentence == text


def test_message_without_an_exception_is_kept_whole() -> None:
    text = "the build failed: step 2\nkilled"
    assert excerpt_of(text).sentence == text
