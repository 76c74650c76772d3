"""On a terminal: tables, colours, questions; without colours where NO_COLOR says so; completion for the shell."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from pytest_deploygate.testing.sessions import LIMIT_S
from tests.cli.cli_project import CliProject


@contextmanager
def on_terminal(
    project: CliProject, *arguments: str, width: int = 160, **variables: str
) -> Iterator["pexpect.spawn[str]"]:
    here = project.all_variables(**{"TERM": "xterm-256color", **variables})
    process = pexpect.spawn(
        sys.executable,
        ["-m", "pytest_deploygate.cli", *arguments],
        cwd=str(project.root),
        env={name: value for name, value in here.items() if name != "COLUMNS"},
        dimensions=(50, width),
        encoding="utf-8",
        timeout=LIMIT_S,
    )
    try:
        yield process
    finally:
        process.close(force=True)


def shown(project: CliProject, *arguments: str, width: int = 160, **variables: str) -> str:
    with on_terminal(project, *arguments, width=width, **variables) as process:
        process.expect(pexpect.EOF)
        return str(process.before)


def test_terminal_has_tables_with_lines_and_colours(project: CliProject) -> None:
    text = shown(project, "history")
    assert "─" in text
    assert "\x1b[32mPROMOTED" in text


def test_narrow_terminal_breaks_no_word(project: CliProject) -> None:
    text = shown(project, "history", width=80)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert all(len(line) <= 80 for line in plain.splitlines())
    for word in ("PROMOTED", "svc-00002", "the live phase holds: 1.0000 of 1"):
        assert word in plain
    assert "─" not in plain


def test_narrow_terminal_wraps_facts_between_words(project: CliProject) -> None:
    reason = "the orders of the wholesale customers came without prices since the morning"
    assert project.deploygate("rollback", "fake", "--reason", reason, "--yes").status == 0
    text = shown(project, "status", "fake", width=80)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    lines = plain.splitlines()
    assert all(len(line) <= 80 for line in lines), plain
    (first,) = [number for number, line in enumerate(lines) if line.startswith("last ")]
    assert lines[first + 1].startswith(" " * (len("rollback to") + 2))
    assert reason in " ".join(plain.split())


def test_text_from_elsewhere_cannot_steer_the_terminal(project: CliProject) -> None:
    reason = "\x1b[2Jnothing to see\x1b]0;fine\x07"
    assert project.deploygate("rollback", "fake", "--reason", reason, "--yes").status == 0
    for width in (80, 160):
        text = shown(project, "history", width=width)
        assert "nothing to see" in text
        assert "\x1b[2J" not in text
        assert "\x07" not in text


@pytest.mark.parametrize(("no_color", "term"), [("1", "xterm"), ("", "dumb")])
def test_terminal_without_colours_has_plain_columns(
    project: CliProject, no_color: str, term: str
) -> None:
    text = shown(project, "history", NO_COLOR=no_color, TERM=term)
    assert "\x1b" not in text
    assert "─" not in text
    assert "PROMOTED" in text


def test_terminal_shows_json_as_it_is(project: CliProject) -> None:
    text = shown(project, "status", "--json")
    assert text.lstrip().startswith("{")
    assert "\x1b" not in text


def test_rollback_asks_on_a_terminal_and_no_means_no(project: CliProject) -> None:
    with on_terminal(project, "rollback", "fake", "--reason", "x") as process:
        process.expect(r"Return all traffic of fake to svc-00001.*\[y/N\]")
        process.sendline("n")
        process.expect(pexpect.EOF)
        process.close()
        assert process.exitstatus == 2
    assert project.shares == {"svc-00002": 100}


def test_rollback_asks_on_a_terminal_and_yes_means_yes(project: CliProject) -> None:
    with on_terminal(project, "rollback", "fake", "--reason", "x") as process:
        process.expect(r"\[y/N\]")
        process.sendline("y")
        process.expect("ROLLED_BACK")
        process.expect(pexpect.EOF)
        process.close()
        assert process.exitstatus == 0
    assert project.shares == {"svc-00001": 100}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("deploygate sta", "status"),
        ("deploygate status f", "fake"),
        ("deploygate show 2", "PROMOTED"),
        ("deploygate rollback fake --to s", "svc-00001"),
        ("deploygate rollback fake --to-backup b", "backup-svc-00001"),
        ("deploygate adopt fake s", "svc-00002"),
    ],
)
def test_shell_completes_commands_and_what_they_are_about(
    project: CliProject, words: str, offered: str
) -> None:
    count = str(len(words.split()) - 1)
    variables = {"_DEPLOYGATE_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": count}
    done = project.deploygate(**variables)
    assert done.status == 0
    assert offered in done.out


@pytest.mark.parametrize(
    "command",
    [
        "status", "history", "show", "plan", "rollback", "recover", "unlock", "adopt", "watch", "backups",
        "emulator up", "emulator down", "emulator status", "emulator url", "emulator logs",
        "emulator load", "emulator inject-fault",
        "emulator faults",
    ],
)  # fmt: skip
def test_help_of_every_command_ends_with_examples(new: CliProject, command: str) -> None:
    done = new.deploygate(*command.split(), "--help")
    assert done.status == 0
    assert "Examples:\n    " in done.out


@pytest.mark.parametrize(
    ("typed", "meant"), [("histroy", "history"), ("rolback", "rollback"), ("locla", "local")]
)
def test_mistyped_command_is_answered_with_a_suggestion(
    project: CliProject, typed: str, meant: str
) -> None:
    done = project.deploygate(typed)
    assert done.status == 4
    assert f"there is no command '{typed}'; did you mean {meant}" in done.err
