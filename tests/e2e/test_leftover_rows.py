"""Without a verification revision checks write where real invoices go, and leave nothing there, killed or not."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.checkout import Checkout, copy_repository, until

pytestmark = [pytest.mark.e2e, pytest.mark.full]

TAB = "Update 20230525"
SHEET = "1PdnZGPZwAV6AHXEeByhOlaEeGObxYWppwLcq0gdvs0E"
PERSON = ["11/24/2025", "HarperCollins", "NS9999999", "9780000000000 - A title", "5.00", "2"]
LEFT_OUT = ("creative_coop", "vendor_regression", "zapier", "performance")


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """A checkout whose settings name no ``verify-environment``, with the gates that this is about."""
    copy_repository(tmp_path / "checkout")
    project = Checkout(
        root=tmp_path / "checkout", variables={"DEPLOYGATE_BUILD_CACHE": str(build_cache)}
    )
    settings = project.root / "pyproject.toml"
    text = settings.read_text("utf-8")
    for gate in LEFT_OUT:
        text, count = re.subn(rf"\[tool\.deploygate\.gates\.{gate}\]\n(?:.+\n)+", "", text)
        assert count == 1
        text = re.sub(
            rf"^{gate} = .+\n", "", text, flags=re.MULTILINE
        )  # what is otherwise elsewhere
    text, count = re.subn(
        r"\[tool\.deploygate\.environments\.local\.verify-environment\]\n(?:.+\n)+", "", text
    )
    assert count == 1
    settings.write_text(text, "utf-8")
    try:
        yield project
    finally:
        project.close()


def append_by_person(project: Checkout) -> None:
    answer = requests.post(
        f"{project.endpoint}/v4/spreadsheets/{SHEET}/values/'{TAB}'!B:G:append",
        params={"valueInputOption": "USER_ENTERED", "insertDataOption": "INSERT_ROWS"},
        json={"values": [PERSON]},
        timeout=30,
    )
    answer.raise_for_status()


def filled(project: Checkout) -> list[list[object]]:
    return [row for row in project.rows(TAB) if any(cell != "" for cell in row)]


def notes(project: Checkout) -> list[str]:
    folder = project.root / ".deploygate" / "rows" / "local"
    return [path.read_text("utf-8") for path in folder.glob("*.json")]


def kill_a_session(project: Checkout, rule: dict[str, object], *, noted: str) -> None:
    """SIGKILL one whose rows are in the tab, and whose note says ``noted``; it waits as ``rule`` has it."""
    requests.post(f"{project.endpoint}/_local/faults", json=[rule], timeout=30).raise_for_status()
    before = len(filled(project))
    session = project.start("-m", "rollback-checks", "-n0")
    until(lambda: len(filled(project)) > before + 20, seconds=120, what="rows of a check")
    until(lambda: any(noted in note for note in notes(project)), seconds=120, what=noted)
    session.send_signal(signal.SIGKILL)
    session.communicate(timeout=60)
    requests.delete(f"{project.endpoint}/_local/faults", timeout=30).raise_for_status()
    assert len(filled(project)) > before + 20


@pytest.mark.timeout(900)
def test_rows_of_a_killed_session_are_removed_by_the_next_and_no_others(project: Checkout) -> None:
    first = project.deploy("-n0")
    assert first.status == 0, first.output
    assert filled(project) == []
    append_by_person(project)

    append: dict[str, object] = {
        "method": "POST",
        "path": ":append$",
        "hang": True,
        "applied": True,
    }
    clear: dict[str, object] = {"method": "POST", "path": ":clear$", "hang": True}
    for rule, noted in (
        (append, '"rows": null'),  # it waits for the function, whose rows are written
        (clear, '"rows": [['),  # it has read its rows and is about to remove them
    ):
        persons = len(filled(project)) + 1
        kill_a_session(project, rule, noted=noted)
        append_by_person(project)
        after = project.pytest("-m", "rollback-checks", "-n0")
        assert after.status == 0, after.output
        assert [row[2:4] for row in filled(project)] == [PERSON[1:3]] * persons
        assert notes(project) == []
