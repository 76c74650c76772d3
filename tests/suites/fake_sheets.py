"""The part of the Sheets values API that the reader uses, on loopback: get and clear of one spreadsheet."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback_server import Asked, Reply

Value = str | int | float


@dataclass(slots=True)
class FakeTab:
    """Cells of one tab; ``shown`` are those that look otherwise than they are, by (row, column) from 0."""

    rows: list[list[Value]] = field(default_factory=list)
    shown: dict[tuple[int, int], str] = field(default_factory=dict)


def append(tab: FakeTab, rows: Sequence[Sequence[Value]]) -> None:
    """Add rows at the end, the first cell in column A."""
    tab.rows += [list(row) for row in rows]


class FakeSheets:
    """Answers as documented for ``spreadsheets.values.get`` and ``spreadsheets.values.clear``."""

    def __init__(self, spreadsheet: str, tabs: dict[str, FakeTab]) -> None:
        self._prefix = f"/v4/spreadsheets/{spreadsheet}/values/"
        self._tabs = tabs
        self.cleared: list[str] = []

    def respond(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        if not parts.path.startswith(self._prefix):
            return self._error(404, "NOT_FOUND")
        wanted = unquote(parts.path.removeprefix(self._prefix))
        wanted = wanted.removesuffix(":clear") if asked.method == "POST" else wanted
        found = re.fullmatch(r"'((?:[^']|'')+)'(?:!A(\d+):H(\d*))?", wanted)
        tab = self._tabs.get(found[1].replace("''", "'")) if found else None
        if found is None or tab is None:
            return self._error(400, "INVALID_ARGUMENT")
        first, last = int(found[2] or 1), int(found[3] or len(tab.rows))
        width = 8 if found[2] else 26
        if asked.method == "POST":
            assert asked.body == b"{}"
            self.cleared.append(wanted)
            for place in range(first - 1, min(last, len(tab.rows))):
                tab.rows[place][:width] = [""] * min(width, len(tab.rows[place]))
            return Reply(body=json.dumps({"clearedRange": wanted}).encode())
        query = parse_qs(parts.query)
        is_shown = query["valueRenderOption"] == ["FORMATTED_VALUE"]
        assert query["dateTimeRenderOption"] == ["SERIAL_NUMBER"]
        rows: list[list[Value]] = []
        for place in range(first - 1, min(last, len(tab.rows))):
            cells: list[Value] = [
                tab.shown.get((place, n), str(cell)) if is_shown else cell
                for n, cell in enumerate(tab.rows[place][:width])
            ]
            while cells and cells[-1] == "":
                cells.pop()
            rows.append(cells)
        while rows and not rows[-1]:
            rows.pop()
        answer = {"range": wanted, "majorDimension": "ROWS"} | ({"values": rows} if rows else {})
        return Reply(body=json.dumps(answer).encode())

    def _error(self, code: int, status: str) -> Reply:
        body = {"error": {"code": code, "message": "no", "status": status}}
        return Reply(status=code, body=json.dumps(body).encode())
