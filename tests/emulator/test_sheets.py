"""The Sheets values API: where appended rows land, what typed text becomes, what survives."""

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


class Sheet:
    """One spreadsheet of the local cloud."""

    def __init__(self, driver: Driver, spreadsheet: str) -> None:
        self._http = driver.http
        self.url = f"{driver.cloud.endpoint}/v4/spreadsheets/{spreadsheet}"

    def call(
        self, method: str, text: str, body: object = None, suffix: str = "", **query: str
    ) -> requests.Response:
        """Call with a range."""
        url = f"{self.url}/values/{quote(text, safe='')}{suffix}"
        return self._http.request(method, url, json=body, params=query, timeout=20)

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
def sheet(driver: Driver, function_id: str) -> Sheet:
    """A spreadsheet that no other test has."""
    return Sheet(driver, f"sheet-{function_id}")


def test_rows_appended_to_b_to_g_leave_a_and_h_empty(sheet: Sheet) -> None:
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


def test_a_to_g_with_six_values_lands_in_column_a(sheet: Sheet) -> None:
    """The defect that shifted columns for nine days."""
    sheet.append("T!A:G", [["six"] * 6])
    assert sheet.get("T!A:H") == [["six"] * 6]


def test_b_to_g_stays_there_beside_a_filled_column_a(sheet: Sheet) -> None:
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
    sheet: Sheet, text: str, expected: str
) -> None:
    """The example of the Sheets API guide, "Append values": tables at A1:C2 and B4:D6."""
    sheet.put("Doc!A1:C2", [["x", "y", "z"], [1, 2, 3]])
    sheet.put("Doc!B4:D6", [["x", "y", "z"], [1, 2, 3], [4, 5, 6]])
    updates = sheet.append(text, [["new"]], insertDataOption="OVERWRITE")["updates"]
    assert isinstance(updates, dict)
    assert updates["updatedRange"] == expected


def test_insert_rows_moves_down_what_is_below_and_overwrite_does_not(sheet: Sheet) -> None:
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
    sheet: Sheet, typed: object, formatted: object, unformatted: object
) -> None:
    sheet.put("T!A1", [[typed]], "USER_ENTERED")
    assert sheet.get("T!A1") == [[formatted]]
    assert sheet.get("T!A1", valueRenderOption="UNFORMATTED_VALUE") == [[unformatted]]


def test_raw_text_stays_text(sheet: Sheet) -> None:
    sheet.put("T!A1:B1", [["1/17/2025", "=1+1"]])
    assert sheet.get("T!A1:B1", valueRenderOption="UNFORMATTED_VALUE") == [["1/17/2025", "=1+1"]]


def test_formula_and_dates_as_asked(sheet: Sheet) -> None:
    sheet.put("T!A1:B1", [["=1+1", "1/17/2025"]], "USER_ENTERED")
    assert sheet.get("T!A1", valueRenderOption="FORMULA") == [["=1+1"]]
    options = {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}
    assert sheet.get("T!B1", **options) == [["1/17/2025"]]


def test_get_leaves_out_empty_ends_and_can_give_columns(sheet: Sheet) -> None:
    sheet.put("T!A1:C3", [["a", "", "c"], [], ["", "b"]])
    assert sheet.get("T!A1:Z99") == [["a", "", "c"], [], ["", "b"]]
    assert sheet.get("T!A:C", majorDimension="COLUMNS") == [["a"], ["", "", "b"], ["c"]]
    answer = sheet.call("GET", "T!D:D").json()
    assert answer == {"range": "T!D1:D1000", "majorDimension": "ROWS"}


def test_null_leaves_a_cell_and_an_empty_text_clears_it(sheet: Sheet) -> None:
    sheet.put("T!A1:C1", [["a", "b", "c"]])
    sheet.put("T!A1:C1", [[None, "", "d"]])
    assert sheet.get("T!A1:C1") == [["a", "", "d"]]


def test_clear_empties_exactly_its_range(sheet: Sheet) -> None:
    sheet.put("T!A1:C3", [["a", "b", "c"]] * 3)
    answer = sheet.call("POST", "T!B2:C3", {}, ":clear")
    assert answer.json()["clearedRange"] == "T!B2:C3"
    assert sheet.get("T") == [["a", "b", "c"], ["a"], ["a"]]


def test_batch_get_and_titles(sheet: Sheet, driver: Driver) -> None:
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
    sheet: Sheet, method: str, text: str, suffix: str, query: dict[str, str], told: str
) -> None:
    answer = sheet.call(method, text, {"values": []} if method == "POST" else None, suffix, **query)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_values_beyond_the_range_or_not_plain_are_refused(sheet: Sheet) -> None:
    answer = sheet.call("PUT", "T!A1:B1", {"values": [["a", "b", "c"]]}, valueInputOption="RAW")
    assert "tried writing beyond" in answer.json()["error"]["message"]
    answer = sheet.call("PUT", "T!A1", {"values": [[{"a": 1}]]}, valueInputOption="RAW")
    assert answer.status_code == 400


def test_tabs_are_made_and_removed_from_the_side(sheet: Sheet, driver: Driver) -> None:
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


def test_functions_write_to_the_local_sheet(driver: Driver, sheet: Sheet, function_id: str) -> None:
    source = (
        "import json, os, urllib.request as u\n"
        "def hello(request):\n"
        "    url = os.environ['GOOGLE_SHEETS_API_ENDPOINT'] + request.args['path']\n"
        "    body = json.dumps({'values': [['from', 'function']]}).encode()\n"
        "    head = {'content-type': 'application/json'}\n"
        "    return u.urlopen(u.Request(url, body, head), timeout=10).read()\n"
    )
    service = driver.deploy(function_id, source)
    path = (
        f"/v4/spreadsheets/{sheet.url.rpartition('/')[2]}/values/T!B:G:append?valueInputOption=RAW"
    )
    assert driver.get(f"{service.uri}/?path={quote(path, safe='')}").status_code == 200
    assert sheet.get("T!B:C") == [["from", "function"]]
