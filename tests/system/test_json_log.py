"""Lines of the log have one form, whichever process writes them."""

import json
import logging
import subprocess
import sys

import pytest

from pytest_deploygate.system.json_log import JsonLines

SECRET = "planted-in-the-environment"


def line_of(**facts: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"name": "some.module", "msg": "some.event", "levelname": "INFO", "process": 7, **facts}
    )
    line: dict[str, object] = json.loads(
        JsonLines(lambda t: t.replace(SECRET, "***")).format(record)
    )
    return line


def test_line_begins_alike_and_ends_with_the_facts_of_its_event() -> None:
    line = line_of(correlation_id="r-1", seconds=1.5, path=object, is_done=True, nothing=None)
    assert list(line)[:6] == ["at", "level", "event", "correlation_id", "logger", "pid"]
    assert line["event"] == "some.event"
    assert line["correlation_id"] == "r-1"
    assert (line["seconds"], line["is_done"], line["nothing"]) == (1.5, True, None)
    assert line["path"] == "<class 'object'>"


def test_fact_does_not_take_the_place_of_what_every_line_has() -> None:
    assert line_of(pid=3, level="worse")["pid"] == 7


def test_texts_are_cleaned_also_those_of_an_exception() -> None:
    try:
        int(SECRET)
    except ValueError:
        caught = sys.exc_info()
    else:
        raise AssertionError("it is no number")
    line = line_of(exc_info=caught, reason=f"bad {SECRET}", msg=f"event {SECRET}")
    assert SECRET not in json.dumps(line)
    assert line["reason"] == "bad ***"
    assert "base 10: '***'" in str(line["traceback"])


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\u2028::error::x"])
def test_one_event_is_one_line(text: str) -> None:
    record = logging.makeLogRecord({"name": "m", "msg": "event", "levelname": "INFO", "fact": text})
    assert len(JsonLines().format(record).splitlines()) == 1


def test_process_of_ours_writes_such_lines_to_standard_error() -> None:
    program = (
        "import logging; from pytest_deploygate.system.json_log import log_to_stderr\n"
        "log_to_stderr(lambda t: t.replace('planted', '***'))\n"
        "logging.getLogger('a.b').info('some.event', extra={'reason': 'planted'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    line = json.loads(done.stderr)
    assert (line["event"], line["reason"], line["logger"]) == ("some.event", "***", "a.b")
