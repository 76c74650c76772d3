"""``deploygate emulator logs -f`` shows what is written from now on, line by line."""

import json
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator.lifecycle import follow_log, logs
from pytest_deploygate.testing.faults import FakeClock


class WritingClock(FakeClock):
    """Each time that somebody waits, the next text is written."""

    def __init__(self, file: Path, *texts: str) -> None:
        super().__init__()
        self._file = file
        self._texts = list(texts)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(self._texts.pop(0))


def test_lines_are_shown_as_they_are_finished(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "hello-00001-abc.log"
    log.parent.mkdir()
    log.write_text("one\ntwo\nthree\n", encoding="utf-8")
    clock = WritingClock(
        log, "Traceback (most recent call last):\n  File", ' "main.py"\n', "last\n"
    )
    lines = follow_log(tmp_path, "hello-00001-abc", 2, clock)
    assert [next(lines) for _ in range(5)] == [
        "two",
        "three",
        "Traceback (most recent call last):",
        '  File "main.py"',
        "last",
    ]
    lines.close()  # type: ignore[attr-defined]  # a generator


def test_revision_without_a_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no log of a revision 'nobody'"):
        next(follow_log(tmp_path, "nobody", 5, FakeClock()))


def test_structured_log_of_a_function_is_shown_as_the_lines_of_its_messages(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "hello-00001-abc.log"
    log.parent.mkdir()
    message = "Exception on / [GET]\nTraceback (most recent call last):\nValueError: no such thing"
    label = {"logging.googleapis.com/labels": {"execution_id": "a1"}}
    entries = (
        {"message": message, **label},
        {"severity": "WARNING", "message": "slow", "order": 7},
        {"message": 5},
    )
    log.write_text("plain\n{broken\n", encoding="utf-8")
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
    shown = [
        "plain",
        "{broken",
        *message.splitlines(),
        "WARNING: slow",
        '  {"order": 7}',
        '{"message": 5}',
    ]
    assert logs(tmp_path, "hello-00001-abc").splitlines() == shown
    assert logs(tmp_path, "hello-00001-abc", 4).splitlines() == shown[-4:]
    following = follow_log(
        tmp_path, "hello-00001-abc", 1, WritingClock(log, f"{json.dumps(entries[0])}\n")
    )
    assert [next(following) for _ in range(4)] == [shown[-1], *message.splitlines()]
    following.close()  # type: ignore[attr-defined]  # a generator
