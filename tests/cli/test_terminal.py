"""On a terminal: tables, colours, questions; without colours where NO_COLOR says so; completion for the shell."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from tests.cli.shop import LIMIT_S, Shop


@contextmanager
def on_terminal(shop: Shop, *arguments: str, **variables: str) -> Iterator["pexpect.spawn[str]"]:
    process = pexpect.spawn(
        sys.executable,
        ["-m", "pytest_deploygate.cli", *arguments],
        cwd=str(shop.root),
        env={**shop.variables(**variables), "TERM": "xterm-256color"},
        dimensions=(50, 160),
        encoding="utf-8",
        timeout=LIMIT_S,
    )
    try:
        yield process
    finally:
        process.close(force=True)


def shown(shop: Shop, *arguments: str, **variables: str) -> str:
    with on_terminal(shop, *arguments, **variables) as process:
        process.expect(pexpect.EOF)
        return str(process.before)


def test_terminal_has_tables_with_lines_and_colours(shop: Shop) -> None:
    text = shown(shop, "history")
    assert "─" in text
    assert "\x1b[32mPROMOTED" in text


def test_terminal_without_colours_has_plain_columns(shop: Shop) -> None:
    text = shown(shop, "history", NO_COLOR="1")
    assert "\x1b" not in text
    assert "─" not in text
    assert "PROMOTED" in text


def test_terminal_shows_json_as_it_is(shop: Shop) -> None:
    text = shown(shop, "status", "--json")
    assert text.lstrip().startswith("{")
    assert "\x1b" not in text


def test_rollback_asks_on_a_terminal_and_no_means_no(shop: Shop) -> None:
    with on_terminal(shop, "rollback", "fake", "--reason", "x") as process:
        process.expect(r"Return all traffic of fake to svc-00001.*\[y/N\]")
        process.sendline("n")
        process.expect(pexpect.EOF)
        process.close()
        assert process.exitstatus == 2
    assert shop.serving == {"svc-00002": 100}


def test_rollback_asks_on_a_terminal_and_yes_means_yes(shop: Shop) -> None:
    with on_terminal(shop, "rollback", "fake", "--reason", "x") as process:
        process.expect(r"\[y/N\]")
        process.sendline("y")
        process.expect("ROLLED_BACK")
        process.expect(pexpect.EOF)
        process.close()
        assert process.exitstatus == 0
    assert shop.serving == {"svc-00001": 100}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("deploygate sta", "status"),
        ("deploygate status f", "fake"),
        ("deploygate show 2", "PROMOTED"),
    ],
)
def test_shell_completes_commands_environments_and_rollouts(
    shop: Shop, words: str, offered: str
) -> None:
    count = str(len(words.split()) - 1)
    variables = {"_DEPLOYGATE_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": count}
    done = shop.run(**variables)
    assert done.status == 0
    assert offered in done.out


@pytest.mark.parametrize(
    "command",
    [
        "status", "history", "show", "plan", "rollback", "recover", "unlock", "adopt", "watch", "backups",
        "local up", "local url", "local logs", "local misbehave", "local faults",
    ],
)  # fmt: skip
def test_help_of_every_command_ends_with_examples(new: Shop, command: str) -> None:
    done = new.run(*command.split(), "--help")
    assert done.status == 0
    assert "Examples:\n    " in done.out
