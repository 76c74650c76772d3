"""The sheet reader sees every row below its watermark, wherever it landed, and takes back only what was written."""

import pytest

from pytest_deploygate.checks.probe import WouldWrite
from pytest_deploygate.core.identifiers import Secret
from suites.support.rows import SheetRow
from suites.support.sheet_reader import (
    Rendering,
    SheetDisturbed,
    SheetReader,
    SheetUnreadable,
)
from tests.loopback_server import Asked, LoopbackServer, Reply, ServerMaker
from tests.suites.fake_sheets import FakeSheets, FakeTab, append

NAME = "Year's sheet 1"
OLD: list[list[str | int | float]] = [
    ["", 45600, "Old vendor", "N0", "A - b", 1.5, 2],
    [],
    ["", 45601, "Old vendor", "N1", "A - b", 1.5, 2],
]
NEW: list[list[str | int | float]] = [
    ["", 45674, "Creative Co-op", "CS1", "X1 - Jug", 1.6, 24],
    [45674, "Creative Co-op", "CS1", "X2 - Jug", 1.6, 24],
]


class ServedSheet:
    """A served spreadsheet and a reader of it."""

    def __init__(self, start: ServerMaker, *, may_write: bool = False) -> None:
        self.tab = FakeTab(rows=[list(row) for row in OLD])
        self.other = FakeTab(rows=[["other"]])
        self.api = FakeSheets("id%201%2F2", {NAME: self.tab, "TEST": self.other})
        self.server: LoopbackServer = start(self.api.respond)
        self.reader = SheetReader(self.server.url, "id 1/2", NAME, may_write=may_write)


@pytest.fixture
def sheet(http_server: ServerMaker) -> ServedSheet:
    return ServedSheet(http_server)


@pytest.fixture
def writable(http_server: ServerMaker) -> ServedSheet:
    return ServedSheet(http_server, may_write=True)


def test_rows_below_the_watermark_are_read_in_all_columns(sheet: ServedSheet) -> None:
    mark = sheet.reader.watermark()
    assert mark.rows == 3
    assert sheet.reader.rows_since(mark) == ()
    append(sheet.tab, NEW)
    first, second = sheet.reader.rows_since(mark)
    assert (first.number, first.is_in_place) == (4, True)
    assert second == SheetRow(
        number=5, cells=(45674, "Creative Co-op", "CS1", "X2 - Jug", 1.6, 24, "", "")
    )
    assert not second.is_in_place
    assert sheet.reader.row_count == 5


def test_rows_are_read_as_a_person_sees_them(sheet: ServedSheet) -> None:
    mark = sheet.reader.watermark()
    append(sheet.tab, NEW[:1])
    sheet.tab.shown[3, 1] = "1/17/2025"
    sheet.tab.shown[3, 5] = "$1.60"
    (row,) = sheet.reader.rows(first=mark.rows + 1, rendering=Rendering.FORMATTED)
    assert row.cells[1] == "1/17/2025"
    assert row.cells[5:7] == ("$1.60", "24")


def test_empty_tab_has_no_rows(http_server: ServerMaker) -> None:
    server = http_server(FakeSheets("s", {"TEST": FakeTab()}).respond)
    reader = SheetReader(server.url, "s", "TEST")
    assert reader.rows() == ()
    assert reader.watermark().rows == 0
    assert reader.row_count == 0


def test_rows_that_changed_above_the_watermark_are_noticed(sheet: ServedSheet) -> None:
    mark = sheet.reader.watermark()
    sheet.tab.rows[0][6] = 3
    with pytest.raises(SheetDisturbed):
        sheet.reader.rows_since(mark)
    sheet.tab.rows[:] = []
    with pytest.raises(SheetDisturbed):
        sheet.reader.rows_since(mark)


def test_digest_sees_every_column_and_how_it_is_shown(sheet: ServedSheet) -> None:
    digest = sheet.reader.digest()
    assert sheet.reader.digest() == digest
    sheet.tab.shown[0, 1] = "11/4/2024"
    shown = sheet.reader.digest()
    assert shown != digest
    sheet.tab.rows[0] += ["", "", "", "note in column K"]
    assert sheet.reader.digest() != shown
    digest = sheet.reader.digest()
    sheet.other.rows.append(["x"])
    assert sheet.reader.digest() == digest


def test_remove_clears_exactly_the_rows_given(writable: ServedSheet) -> None:
    mark = writable.reader.watermark()
    append(writable.tab, [*NEW, OLD[0], *NEW])
    rows = writable.reader.rows_since(mark)
    writable.reader.remove([rows[0], rows[1], rows[3]])
    assert writable.api.cleared == [
        f"'{NAME.replace(chr(39), chr(39) * 2)}'!A{r}" for r in ("4:H5", "7:H7")
    ]
    assert [row.number for row in writable.reader.rows() if any(row.cells)] == [1, 3, 6, 8]
    writable.reader.remove([])
    assert writable.other.rows == [["other"]]


def test_remove_refuses_rows_that_changed_meanwhile(writable: ServedSheet) -> None:
    mark = writable.reader.watermark()
    append(writable.tab, NEW)
    rows = writable.reader.rows_since(mark)
    writable.tab.rows[4][2] = "edited by a person"
    with pytest.raises(SheetDisturbed):
        writable.reader.remove(rows)
    writable.tab.rows[4:] = []
    with pytest.raises(SheetDisturbed):
        writable.reader.remove(rows)
    assert writable.api.cleared == []


def test_remove_is_refused_where_only_reading_is_allowed(sheet: ServedSheet) -> None:
    rows = sheet.reader.rows()
    with pytest.raises(WouldWrite):
        sheet.reader.remove(rows)
    assert sheet.api.cleared == []


def test_missing_tab_is_told_with_the_reason(http_server: ServerMaker) -> None:
    server = http_server(FakeSheets("s", {}).respond)
    with pytest.raises(SheetUnreadable, match=r"HTTP 400 for tab 'TEST' \(INVALID_ARGUMENT\)"):
        SheetReader(server.url, "s", "TEST").rows()


@pytest.mark.parametrize(("refusals", "is_read"), [(1, True), (5, True), (6, False)])
def test_tab_is_asked_again_when_there_were_too_many_requests(
    http_server: ServerMaker, refusals: int, is_read: bool
) -> None:
    """Google refuses more than 60 reads a minute; nothing was done then, so asking again is safe."""
    sheets = FakeSheets("s", {"TEST": FakeTab(rows=[["", 1, "V", "N", "C - d", 1.5, 2]])})
    left = iter(range(refusals))

    def respond(asked: Asked) -> Reply:
        refused = Reply(status=429, body=b'{"error": {"status": "RESOURCE_EXHAUSTED"}}')
        return sheets.respond(asked) if next(left, None) is None else refused

    pauses: list[float] = []
    server = http_server(respond)
    reader = SheetReader(server.url, "s", "TEST", may_write=True, pause=pauses.append)
    if is_read:
        assert len(reader.rows()) == 1
    else:
        with pytest.raises(SheetUnreadable, match=r"429 .*RESOURCE_EXHAUSTED"):
            reader.rows()
    assert pauses == [2, 4, 8, 16, 32][:refusals]


def test_token_is_sent(http_server: ServerMaker) -> None:
    server = http_server(FakeSheets("s", {"TEST": FakeTab()}).respond)
    SheetReader(server.url, "s", "TEST", token=Secret("planted")).rows()
    assert server.asked[0].headers["authorization"] == "Bearer planted"
