"""The documents speak of what there is: files, tests, commands, keys, exit statuses.

Links inside of the site are checked where it is built (``tox -e docs``).
"""

import contextlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path

import click
import pytest

from pytest_deploygate.cli.app import deploygate
from pytest_deploygate.core.errors import ExitStatus
from tests.cli.cli_project import REPOSITORY

DOCS = REPOSITORY / "docs"
TOP = tuple(sorted(REPOSITORY.glob("*.md")))
PAGES = (
    *TOP,
    *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "changelog.d"),
    *sorted(DOCS.glob("how-to/systemd/*")),
)
PLACE = re.compile(
    r"`((?:pytest_deploygate|suites|tests|benchmarks|fixtures|docs|test_invoices)/[\w/.-]*)(?:::(\w+))?`"
)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    for path, test in PLACE.findall(text_of(page)):
        file = REPOSITORY / path
        assert file.exists(), path
        if test:
            assert f"def {test}(" in text_of(file), f"{path}::{test}"


def test_requirements_are_traced_to_many_places() -> None:
    assert len(PLACE.findall(text_of(DOCS / "explanation" / "traceability.md"))) > 40


@pytest.mark.parametrize("page", TOP, ids=lambda page: page.name)
def test_links_of_pages_outside_of_the_site_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(page)):
        assert (page.parent / link).exists(), link


def commands_in(page: Path) -> Iterator[str]:
    """Every ``deploygate ...`` in code, and those that units start."""
    text = text_of(page)
    code = re.findall(r"`(?:\$ )?(deploygate [a-z][^`]*)`", text)
    blocks = "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE))
    code += re.findall(r"^ *(?:\$ )?(deploygate [a-z].*)$", blocks, re.MULTILINE)
    code += re.findall(r"^ExecStart=\S*/(deploygate .*)$", text, re.MULTILINE)
    for command in code:
        yield re.split(r"  |\|| >|;|…|\.\.\.", command.replace("\n", " "))[0].strip()


def parse(command: str) -> None:
    """Read a command line as ``deploygate`` would, without running it."""
    typed = shlex.split(re.sub(r"[\[\]]", "", command))
    words = ["1" if word == "N" else word for word in typed[1:]]
    context = deploygate.make_context("deploygate", words, resilient_parsing=False)
    group: click.Group = deploygate
    rest = [*context._protected_args, *context.args]
    while True:
        name, found, rest = group.resolve_command(context, rest)
        assert found is not None
        if not isinstance(found, click.Group) or not rest:
            found.make_context(name, rest, parent=context)
            return
        context, group = click.Context(found, info_name=name, parent=context), found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_in_documents_can_be_typed(page: Path) -> None:
    for command in commands_in(page):
        if "|" in command:
            continue
        try:
            with contextlib.suppress(click.MissingParameter):  # sentences may name half a command
                parse(command)
        except click.ClickException as error:
            pytest.fail(f"{page.name}: {command}: {error.format_message()}")


def names_of(document: type) -> tuple[str, ...]:
    """Names of the fields of a dataclass or a named tuple; of anything else there are none."""
    if is_dataclass(document):
        return tuple(field.name for field in fields(document))
    return tuple(getattr(document, "_fields", ()))


def test_every_key_of_json_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", text_of(DOCS / "reference" / "json-output.md")))
    modules = [
        import_module(f"pytest_deploygate.cli.{name}")
        for name in (
            *("backups", "live_gates", "history", "emulator", "plan", "rollback"),
            *("adopt", "recover", "unlock", "show", "status", "watch"),
        )
    ]
    documents = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and names_of(value)
    }
    documents = {d for d in documents if d.__name__ != "RollbackRequest"}  # what was typed
    assert len(documents) > 20
    missing = {
        f"{d.__name__}.{name}" for d in documents for name in names_of(d) if name not in documented
    }
    assert missing == set()


def test_every_exit_status_of_a_command_is_documented() -> None:
    section = text_of(DOCS / "reference" / "exit-status.md").partition("\n## deploygate\n")[2]
    table = set(map(int, re.findall(r"^\| (\d+) \|", section, re.MULTILINE)))
    assert deploygate.epilog is not None
    helped = set(map(int, re.findall(r"^  (\d+) ", deploygate.epilog, re.MULTILINE)))
    kinds = {ExitStatus.OK, ExitStatus.FAILED, ExitStatus.INTERRUPTED, ExitStatus.USAGE}
    rollout = {ExitStatus.COULD_NOT_ACT, ExitStatus.STRANDED, ExitStatus.STEPPING}
    assert table == helped == kinds | rollout
