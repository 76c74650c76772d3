"""Writes ``docs/reference/emulator-clients.md``: ``python -m tests.emulator.foreign_calls.client_page``."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.emulator.foreign_calls.discovery_calls import (
    different_functions_calls,
    different_run_calls,
    different_sheets_calls,
    functions_calls,
    run_calls,
    sheets_calls,
)
from tests.emulator.foreign_calls.google_cloud_calls import cloud_functions_calls, cloud_run_calls
from tests.emulator.foreign_calls.gspread_calls import different_gspread_calls, gspread_calls
from tests.emulator.foreign_calls.stage import Call, DifferentCall, Given, Stage

NPM = Path(__file__).parents[1] / "npm"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "emulator-clients.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCall:
    """One call of one client."""

    client: str
    call: str
    act: Callable[["Stage"], Given] | None = None
    """None for those of other languages, which npm/calls.cjs has."""
    differs: str = ""


def _python_calls() -> list[ForeignCall]:
    lists: tuple[tuple[str, list[Call], list[DifferentCall]], ...] = (
        (
            "google-api-python-client, cloudfunctions v2",
            functions_calls(),
            different_functions_calls(),
        ),
        ("google-api-python-client, run v2", run_calls(), different_run_calls()),
        ("google-api-python-client, sheets v4", sheets_calls(), different_sheets_calls()),
        ("google-cloud-functions", cloud_functions_calls(), []),
        ("google-cloud-run", cloud_run_calls(), []),
        ("gspread", gspread_calls(), different_gspread_calls()),
    )
    found = []
    for client, right, different in lists:
        found += [ForeignCall(client=client, call=name, act=act) for name, act in right]
        found += [
            ForeignCall(client=client, call=name, act=act, differs=differs)
            for name, differs, act in different
        ]
    return found


def _npm_calls() -> list[ForeignCall]:
    listed = json.loads((NPM / "calls.json").read_text(encoding="utf-8"))
    return [
        ForeignCall(client=client, call=call, differs=differs)
        for client, calls in listed.items()
        for call, differs in calls.items()
    ]


PYTHON_CALLS = _python_calls()
CALLS = [*PYTHON_CALLS, *_npm_calls()]

_HEAD = """\
# Clients that nobody here wrote

Each call ends as it does on Google, or the table says why not. `tests/emulator/test_foreign_clients.py` makes the calls
of the Python clients in CI, and `tox -e npm` those of the npm ones, by hand. Do not edit: this page is written by
`python -m tests.emulator.foreign_calls.client_page`.

"""


def page() -> str:
    """The whole page."""
    clients = list(dict.fromkeys(call.client for call in CALLS))
    right = sum(not call.differs for call in CALLS)
    text = f"{_HEAD}**{right} of {len(CALLS)} calls as on Google.**\n\n"
    text += "| client | as on Google | not |\n| --- | --- | --- |\n"
    for client in clients:
        calls = [call for call in CALLS if call.client == client]
        text += f"| {client} | {sum(not call.differs for call in calls)} of {len(calls)} | {_not(calls)} |\n"
    for client in clients:
        names = [f"`{c.call}`" for c in CALLS if c.client == client and not c.differs]
        text += f"\n## {client}\n{', '.join(names)}\n"
    return text


def _not(calls: list[ForeignCall]) -> str:
    return "; ".join(f"`{call.call}` ({call.differs})" for call in calls if call.differs)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
