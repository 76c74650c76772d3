"""The Sheets values API: where appended rows land, what typed text becomes, what survives."""

import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from textwrap import dedent
from urllib.parse import quote

import pytest
import requests

from tests.emulator.emulator_driver import Driver

_ROWS = [
    [
        "1/17/2025",
        "Creative Co-op",
        "CS003837319",
        "XS9826A - UPC: 0191009727774 - tray",
        "$1.60",
        "24",
    ],
    ["04/29/25", "HarperCollins", "NS4435067", "9780001839236 - Summer Story", "5.00", 3],
]


class EmulatedSheet:
    """One spreadsheet of the emulator."""

    def __init__(self, driver: Driver, spreadsheet: str) -> None:
        self._http = driver.http
        self.url = f"{driver.cloud.endpoint}/v4/spreadsheets/{spreadsheet}"

    def call(
        self, method: str, text: str, body: object = None, suffix: str = "", **query: str
    ) -> requests.Response:
        """Call with a range."""
        url = f"{self.url}/values/{quote(text, safe='')}{suffix}"
        return self._http.request(method, url, json=body, params=query, timeout=120)

    def append(self, text: str, rows: object, **query: str) -> dict[str, object]:
        """Append as the invoice function does."""
        options = {"valueInputOption": "USER_ENTERED", "insertDataOption": "INSERT_ROWS"} | query
        answer = self.call("POST", text, {"values": rows}, ":append", **options)
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()
        return found

    def put(self, text: str, rows: object, option: str = "RAW") -> dict[str, object]:
        """Overwrite."""
        answer = self.call("PUT", text, {"values": rows}, valueInputOption=option)
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()
        return found

    def get(self, text: str, **query: str) -> object:
        """The values, or None if there is none."""
        answer = self.call("GET", text, **query)
        assert answer.ok, answer.text
        return answer.json().get("values")


@pytest.fixture
def sheet(driver: Driver, function_id: str) -> EmulatedSheet:
    """A spreadsheet that no other test has."""
    return EmulatedSheet(driver, f"sheet-{function_id}")


def test_rows_appended_to_b_to_g_leave_a_and_h_empty(sheet: EmulatedSheet) -> None:
    first = sheet.append("'Update 20230525'!B:G", _ROWS)
    second = sheet.append("'Update 20230525'!B:G", [["x"] * 6])
    assert first["updates"] == {
        "spreadsheetId": sheet.url.rpartition("/")[2],
        "updatedRange": "'Update 20230525'!B1:G2",
        "updatedRows": 2,
        "updatedColumns": 6,
        "updatedCells": 12,
    }
    assert "tableRange" not in first
    assert second["tableRange"] == "'Update 20230525'!B1:G2"
    rows = sheet.get("'Update 20230525'!A:H")
    assert isinstance(rows, list)
    assert [row[0] for row in rows] == ["", "", ""]
    assert {len(row) for row in rows} == {7}


def test_a_to_g_with_six_values_lands_in_column_a(sheet: EmulatedSheet) -> None:
    """The defect that shifted columns for nine days."""
    sheet.append("T!A:G", [["six"] * 6])
    assert sheet.get("T!A:H") == [["six"] * 6]


def test_b_to_g_stays_there_beside_a_filled_column_a(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:H1", [["done", "date", "vendor", "order", "item", "price", "quantity", "note"]])
    sheet.append("T!B:G", [_ROWS[0]])
    assert sheet.get("T!A2:B2") == [["", "1/17/2025"]]
    sheet.append("T!A:G", [["six"] * 6])
    assert sheet.get("T!A3:B3") == [["six", "six"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Doc", "Doc!B7"), ("Doc!B4", "Doc!B7"), ("Doc!C5:D5", "Doc!B7"), ("Doc!B2:D4", "Doc!B7"),
        ("Doc!A3:G10", "Doc!B7"), ("Doc!A1", "Doc!A3"), ("Doc!E4", "Doc!E4"), ("Doc!A4", "Doc!A4"),
    ],
)  # fmt: skip
def test_table_is_found_as_in_the_documented_example(
    sheet: EmulatedSheet, text: str, expected: str
) -> None:
    """The example of the Sheets API guide, "Append values": tables at A1:C2 and B4:D6."""
    sheet.put("Doc!A1:C2", [["x", "y", "z"], [1, 2, 3]])
    sheet.put("Doc!B4:D6", [["x", "y", "z"], [1, 2, 3], [4, 5, 6]])
    updates = sheet.append(text, [["new"]], insertDataOption="OVERWRITE")["updates"]
    assert isinstance(updates, dict)
    assert updates["updatedRange"] == expected


def test_insert_rows_moves_down_what_is_below_and_overwrite_does_not(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1", [["table"]])
    sheet.put("T!A3", [["below"]])
    sheet.append("T!A1", [["one"], ["two"]])
    assert sheet.get("T!A:A") == [["table"], ["one"], ["two"], [], ["below"]]
    sheet.append("T!A1", [["three"], ["four"]], insertDataOption="OVERWRITE")
    assert sheet.get("T!A:A") == [["table"], ["one"], ["two"], ["three"], ["four"]]


@pytest.mark.parametrize(
    ("typed", "formatted", "unformatted"),
    [
        ("1/17/2025", "1/17/2025", 45674), ("04/29/25", "04/29/25", 45776), ("2025-01-17", "2025-01-17", 45674),
        ("$1.60", "$1.60", 1.6), ("-$1,234.50", "-$1,234.50", -1234.5), ("24", "24", 24), ("5.00", "5", 5),
        ("463.695", "463.695", 463.695), ("1,234", "1,234", 1234), ("12.5%", "12.50%", 0.125), ("true", "TRUE", True),
        ("'007", "007", "007"), ("CS003837319", "CS003837319", "CS003837319"),
        ("13/40/2025", "13/40/2025", "13/40/2025"),
        ("=1+1", "#ERROR!", "#ERROR!"), (7, "7", 7), (1.5, "1.5", 1.5), (True, "TRUE", True), ("1e3", "1000", 1000),
    ],
)  # fmt: skip
def test_user_entered_text_becomes_a_value(
    sheet: EmulatedSheet, typed: object, formatted: object, unformatted: object
) -> None:
    sheet.put("T!A1", [[typed]], "USER_ENTERED")
    assert sheet.get("T!A1") == [[formatted]]
    assert sheet.get("T!A1", valueRenderOption="UNFORMATTED_VALUE") == [[unformatted]]


def test_raw_text_stays_text(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:B1", [["1/17/2025", "=1+1"]])
    assert sheet.get("T!A1:B1", valueRenderOption="UNFORMATTED_VALUE") == [["1/17/2025", "=1+1"]]


def test_formula_and_dates_as_asked(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:B1", [["=1+1", "1/17/2025"]], "USER_ENTERED")
    assert sheet.get("T!A1", valueRenderOption="FORMULA") == [["=1+1"]]
    options = {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}
    assert sheet.get("T!B1", **options) == [["1/17/2025"]]


def test_get_leaves_out_empty_ends_and_can_give_columns(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:C3", [["a", "", "c"], [], ["", "b"]])
    assert sheet.get("T!A1:Z99") == [["a", "", "c"], [], ["", "b"]]
    assert sheet.get("T!A:C", majorDimension="COLUMNS") == [["a"], ["", "", "b"], ["c"]]
    answer = sheet.call("GET", "T!D:D").json()
    assert answer == {"range": "T!D1:D1000", "majorDimension": "ROWS"}


def test_null_leaves_a_cell_and_an_empty_text_clears_it(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:C1", [["a", "b", "c"]])
    sheet.put("T!A1:C1", [[None, "", "d"]])
    assert sheet.get("T!A1:C1") == [["a", "", "d"]]


def test_clear_empties_exactly_its_range(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1:C3", [["a", "b", "c"]] * 3)
    answer = sheet.call("POST", "T!B2:C3", {}, ":clear")
    assert answer.json()["clearedRange"] == "T!B2:C3"
    assert sheet.get("T") == [["a", "b", "c"], ["a"], ["a"]]


def test_batch_get_and_titles(sheet: EmulatedSheet, driver: Driver) -> None:
    sheet.put("One!A1", [["1"]])
    sheet.put("'Two words'!A1", [["2"]])
    query = [("ranges", "One!A1"), ("ranges", "'Two words'!A1")]
    found = driver.http.get(f"{sheet.url}/values:batchGet", params=query, timeout=20).json()
    assert [part["values"] for part in found["valueRanges"]] == [[["1"]], [["2"]]]
    tabs = driver.http.get(sheet.url, timeout=20).json()["sheets"]
    assert [tab["properties"]["title"] for tab in tabs] == ["One", "Two words"]


@pytest.mark.parametrize(
    ("method", "text", "suffix", "query", "told"),
    [
        ("POST", "T!A1", ":append", {}, "'valueInputOption' is required"),
        (
            "POST",
            "T!A1",
            ":append",
            {"valueInputOption": "ODD"},
            "Invalid value at 'valueInputOption'",
        ),
        ("GET", "T!1x", "", {}, "Unable to parse range: T!1x"),
        ("GET", "'T!A1", "", {}, "Unable to parse range: 'T!A1"),
        ("GET", "T!A1", "", {"majorDimension": "DIAGONAL"}, "Invalid value at 'majorDimension'"),
    ],
)
def test_bad_request_is_400(
    sheet: EmulatedSheet, method: str, text: str, suffix: str, query: dict[str, str], told: str
) -> None:
    answer = sheet.call(method, text, {"values": []} if method == "POST" else None, suffix, **query)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_values_beyond_the_range_or_not_plain_are_refused(sheet: EmulatedSheet) -> None:
    answer = sheet.call("PUT", "T!A1:B1", {"values": [["a", "b", "c"]]}, valueInputOption="RAW")
    assert "tried writing to column [C]" in answer.json()["error"]["message"]
    answer = sheet.call("PUT", "T!A1", {"values": [[{"a": 1}]]}, valueInputOption="RAW")
    assert answer.status_code == 400


def test_tabs_are_made_and_removed_from_the_side(sheet: EmulatedSheet, driver: Driver) -> None:
    spreadsheet = sheet.url.rpartition("/")[2]
    assert (
        driver.local("POST", f"sheets/{spreadsheet}/tabs", {"title": "New tab"})["created"] is True
    )
    assert (
        driver.local("POST", f"sheets/{spreadsheet}/tabs", {"title": "New tab"})["created"] is False
    )
    sheet.put("'New tab'!A1", [["x"]])
    assert driver.local("DELETE", f"sheets/{spreadsheet}/tabs/New%20tab")["deleted"] is True
    assert sheet.get("'New tab'!A1") is None


def test_functions_write_to_the_local_sheet(
    driver: Driver, sheet: EmulatedSheet, function_id: str
) -> None:
    source = dedent("""
        import json, os, urllib.request as u

        def hello(request):
            url = os.environ["GOOGLE_SHEETS_API_ENDPOINT"] + request.args["path"]
            body = json.dumps({"values": [["from", "function"]]}).encode()
            head = {"content-type": "application/json"}
            return u.urlopen(u.Request(url, body, head), timeout=10).read()
    """)
    service = driver.deploy(function_id, source)
    path = (
        f"/v4/spreadsheets/{sheet.url.rpartition('/')[2]}/values/T!B:G:append?valueInputOption=RAW"
    )
    assert driver.get(f"{service.uri}/?path={quote(path, safe='')}").status_code == 200
    assert sheet.get("T!B:C") == [["from", "function"]]


def test_update_anchored_at_one_cell_writes_as_much_as_it_is_given(sheet: EmulatedSheet) -> None:
    """The first example of gspread's README."""
    found = sheet.put("T!B2", [[1, 2], [3, 4]])
    assert (found["updatedRange"], found["updatedCells"]) == ("T!B2:C3", 4)
    assert sheet.get("T!A1:C3") == [[], ["", "1", "2"], ["", "3", "4"]]


@pytest.mark.parametrize("text", ["T!A1001", "T!AA1", "T!A9999999", "T!A1001:B", "T!ZZZ1"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_range_outside_of_the_grid_is_refused(sheet: EmulatedSheet, text: str, method: str) -> None:
    body = None if method == "GET" else {"values": [["x"]]}
    query = {} if method == "GET" else {"valueInputOption": "RAW"}
    answer = sheet.call(method, text, body, ":append" if method == "POST" else "", **query)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert "exceeds grid limits. Max rows: 1000, max columns: 26" in message


def test_update_that_runs_over_the_edge_is_refused_whole(sheet: EmulatedSheet) -> None:
    answer = sheet.call("PUT", "T!A1000", {"values": [["a"], ["b"]]}, valueInputOption="RAW")
    assert "exceeds grid limits" in answer.json()["error"]["message"]
    assert sheet.get("T") is None


def test_append_makes_the_grid_grow(sheet: EmulatedSheet, driver: Driver) -> None:
    sheet.put("T!A1000", [["last"]])
    assert sheet.append("T!A:A", [["more"]] * 3)["tableRange"] == "T!A1000"
    grid = driver.http.get(sheet.url, timeout=20).json()["sheets"][0]["properties"][
        "gridProperties"
    ]
    assert grid == {"rowCount": 1003, "columnCount": 26}
    assert sheet.get("T!A1003") == [["more"]]


def test_cell_holds_50000_characters_and_no_more(sheet: EmulatedSheet) -> None:
    sheet.put("T!A1", [["x" * 50_000]])
    answer = sheet.call("PUT", "T!A1", {"values": [["x" * 50_001]]}, valueInputOption="RAW")
    assert "maximum of 50000 characters" in answer.json()["error"]["message"]


_YEAR = datetime.now(UTC).year


@pytest.mark.parametrize(
    ("typed", "formatted", "unformatted"),
    [
        ("1-2", "1-2", date(_YEAR, 1, 2)), ("1/2", "1/2", date(_YEAR, 1, 2)), ("Jan 5", "Jan 5", date(_YEAR, 1, 5)),
        ("January 5, 2025", "January 5, 2025", date(2025, 1, 5)), ("5-Jan-2025", "5-Jan-2025", date(2025, 1, 5)),
        ("12-2024", "12-2024", date(2024, 12, 1)), ("Mar 2024", "Mar 2024", date(2024, 3, 1)),
        ("May 5", "May 5", date(_YEAR, 5, 5)), ("12:30", "12:30", 0.5208333333333334),
        ("12:30 AM", "12:30 AM", 30 / 1440),
        ("24:30", "24:30", "24:30"), ("1/2/2025 12:00", "1/2/2025 12:00", 45659.5), ("1E400", "1E400", "1E400"),
        ("٣", "٣", "٣"), ("1/٣", "1/٣", "1/٣"),
        ("007", "7", 7), ("0123.50", "123.5", 123.5), ("=", "=", "="), ("+", "+", "+"), ("-", "-", "-"),
        ("+5", "5", 5), ("-5", "-5", -5), ("+A1", "#ERROR!", "#ERROR!"), ("-foo", "#ERROR!", "#ERROR!"),
        ("@home", "@home", "@home"), ("Smith 5", "Smith 5", "Smith 5"), ("1-2-3-4", "1-2-3-4", "1-2-3-4"),
    ],
)  # fmt: skip
def test_user_entered_dates_times_and_signs(
    sheet: EmulatedSheet, typed: str, formatted: str, unformatted: object
) -> None:
    if isinstance(unformatted, date):
        unformatted = (unformatted - date(1899, 12, 30)).days
    sheet.put("T!A1", [[typed]], "USER_ENTERED")
    assert sheet.get("T!A1") == [[formatted]]
    assert sheet.get("T!A1", valueRenderOption="UNFORMATTED_VALUE") == [[unformatted]]


def test_batches_of_values_hold_together(sheet: EmulatedSheet, driver: Driver) -> None:
    data = [{"range": "One!A1", "values": [["a", "b"]]}, {"range": "Two!B2", "values": [["c"]]}]
    body = {"valueInputOption": "RAW", "data": data}
    found = driver.http.post(f"{sheet.url}/values:batchUpdate", json=body, timeout=20).json()
    assert (found["totalUpdatedCells"], found["totalUpdatedSheets"]) == (3, 2)
    data.append({"range": "One!A5000", "values": [["d"]]})
    data[0]["values"] = [["changed"]]
    assert (
        driver.http.post(f"{sheet.url}/values:batchUpdate", json=body, timeout=20).status_code
        == 400
    )
    assert sheet.get("One!A1:B1") == [["a", "b"]]
    ranges = {"ranges": ["One!A1", "Two"]}
    cleared = driver.http.post(f"{sheet.url}/values:batchClear", json=ranges, timeout=20).json()
    assert cleared["clearedRanges"] == ["One!A1", "Two!A1:Z1000"]
    assert (sheet.get("One"), sheet.get("Two")) == ([["", "b"]], None)


def _batch(
    driver: Driver, sheet: EmulatedSheet, *requests_: Mapping[str, object]
) -> requests.Response:
    return driver.http.post(f"{sheet.url}:batchUpdate", json={"requests": requests_}, timeout=20)


def test_tabs_are_made_changed_and_removed(sheet: EmulatedSheet, driver: Driver) -> None:
    grid = {"rowCount": 3, "columnCount": 2}
    new = {"title": "Small", "gridProperties": grid}
    found = _batch(driver, sheet, {"addSheet": {"properties": new}}).json()
    properties = found["replies"][0]["addSheet"]["properties"]
    assert (properties["title"], properties["gridProperties"]) == ("Small", grid)
    number = properties["sheetId"]
    sheet.put("Small!A1:B3", [["a", "b"], ["c", "d"], ["e", "f"]])
    rows = {"sheetId": number, "dimension": "ROWS", "startIndex": 1, "endIndex": 2}
    columns = {"sheetId": number, "dimension": "COLUMNS", "startIndex": 0, "endIndex": 1}
    renamed = {"properties": {"sheetId": number, "title": "Renamed"}, "fields": "title"}
    assert _batch(
        driver,
        sheet,
        {"deleteDimension": {"range": rows}},
        {"insertDimension": {"range": columns}},
        {"updateSheetProperties": renamed},
    ).ok
    assert sheet.get("Renamed") == [["", "a", "b"], ["", "e", "f"]]
    assert (
        _batch(driver, sheet, {"addSheet": {"properties": {"title": "Renamed"}}}).status_code == 400
    )
    assert _batch(driver, sheet, {"addChart": {}}).status_code == 501
    huge = {"rowCount": 10_000_000, "columnCount": 2}
    too_large = {"title": "Huge", "gridProperties": huge}
    assert _batch(driver, sheet, {"addSheet": {"properties": too_large}}).status_code == 400
    other = {"addSheet": {"properties": {"title": "Other"}}}
    assert _batch(driver, sheet, other, {"deleteSheet": {"sheetId": number}}).ok
    tabs = driver.http.get(sheet.url, timeout=20).json()["sheets"]
    assert [tab["properties"]["title"] for tab in tabs] == ["Other"]


def test_spreadsheet_is_created(driver: Driver) -> None:
    body = {"properties": {"title": "New"}, "sheets": [{"properties": {"title": "Rows"}}]}
    url = f"{driver.cloud.endpoint}/v4/spreadsheets"
    made = driver.http.post(url, json=body, timeout=20).json()
    found = driver.http.get(f"{url}/{made['spreadsheetId']}", timeout=20).json()
    assert found["properties"]["title"] == "New"
    assert [tab["properties"]["title"] for tab in found["sheets"]] == ["Rows"]


def test_large_write_does_not_hold_up_others(shared_driver: Driver) -> None:
    """A process of its own reads what was sent."""
    rows = [[f"row {i}", i, "x" * 40] for i in range(60_000)]
    sheet = EmulatedSheet(shared_driver, "sheet-large")
    answered: list[int] = []
    is_over = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not is_over.is_set():
                answer = session.get(f"{shared_driver.cloud.endpoint}/_local/health", timeout=120)
                answered.append(answer.status_code)

    other = threading.Thread(target=ask)
    other.start()
    try:
        sheet.append("T!A:C", rows)
    finally:
        is_over.set()
        other.join()
    assert len(answered) > 20, "others are answered while it is being written"
    assert set(answered) == {200}
    assert sheet.get("T!A60000") == [["row 59999"]]


@pytest.mark.parametrize("value", ["\ud800", 10**400, {"a": 1}])
def test_value_that_no_cell_can_hold_is_refused_and_nothing_is_broken(
    sheet: EmulatedSheet, value: object
) -> None:
    answer = sheet.call("PUT", "T!A1", {"values": [["ok"], [value]]}, valueInputOption="RAW")
    assert answer.status_code == 400
    sheet.put("T!A1", [["next"]])
    assert sheet.get("T") == [["next"]]


def test_fault_rule_may_name_the_service(sheet: EmulatedSheet, driver: Driver) -> None:
    driver.fault(service="sheets", http=503)
    assert sheet.call("GET", "T!A1").status_code == 503
    assert sheet.call("GET", "T!A1").status_code == 200
    answer = driver.http.post(
        f"{driver.cloud.endpoint}/_local/faults",
        json=[{"service": "mail", "http": 500}],
        timeout=20,
    )
    assert "service must be one of sheets" in answer.text
