"""Calls of gspread."""

from collections.abc import Callable

import gspread

from tests.emulator.foreign_calls.stage import Call, DifferentCall, Given, Stage, raises


def _on(
    act: Callable[[Given], object], then: Callable[[Given], object]
) -> Callable[[Stage], Given]:
    """Do something to the first sheet of a new spreadsheet, then look at it."""

    def run(s: Stage) -> Given:
        sheet = s.book().sheet1
        act(sheet)
        return then(sheet)

    return run


def gspread_calls() -> list[Call]:
    """Those that end as on Google."""
    return [
        ("Client.create", lambda s: s.book().title == "A new spreadsheet"),
        ("Client.open_by_key", lambda s: s.gspread.open_by_key(s.book().id).title == "A new spreadsheet"),
        ("Spreadsheet.sheet1", lambda s: s.book().sheet1.title == "Sheet1"),
        ("Spreadsheet.worksheet", lambda s: s.book().worksheet("Sheet1").id == 0),
        ("Spreadsheet.get_worksheet", lambda s: s.book().get_worksheet(0).title == "Sheet1"),
        ("Spreadsheet.worksheets", lambda s: len(s.book().worksheets()) == 1),
        ("Spreadsheet.add_worksheet", lambda s: s.book().add_worksheet(title="B", rows=10, cols=5).row_count == 10),
        ("Spreadsheet.del_worksheet", _on(
            lambda w: w.spreadsheet.del_worksheet(w.spreadsheet.add_worksheet(title="B", rows=1, cols=1)),
            lambda w: len(w.spreadsheet.worksheets()) == 1)),
        ("Spreadsheet.duplicate_sheet", lambda s: len(
            s.book().duplicate_sheet(0, new_sheet_name="C").get_all_values()) == 4),
        ("Spreadsheet.update_title", _on(
            lambda w: w.spreadsheet.update_title("N"),
            lambda w: w.spreadsheet.fetch_sheet_metadata()["properties"]["title"] == "N")),
        ("Spreadsheet.values_append", lambda s: s.book().values_append(
            "Sheet1", {"valueInputOption": "RAW"}, {"values": [["e"]]})["updates"]["updatedRange"] == "Sheet1!A5"),
        ("Spreadsheet.values_clear", lambda s: s.book().values_clear("Sheet1!A1")["clearedRange"] == "Sheet1!A1"),
        ("Worksheet.update", _on(lambda w: w.update([[1, 2], [3, 4]], "A1"), lambda w: w.acell("B2").value == "4")),
        ("Worksheet.update_acell", _on(
            lambda w: w.update_acell("B42", "down there"), lambda w: w.acell("B42").value)),
        ("Worksheet.update_cell", _on(lambda w: w.update_cell(1, 2, "c"), lambda w: w.cell(1, 2).value == "c")),
        ("Worksheet.update_cells", _on(
            lambda w: w.update_cells([gspread.Cell(1, 1, "k"), gspread.Cell(2, 1, "l")]),
            lambda w: w.col_values(1)[:2] == ["k", "l"])),
        ("Worksheet.range", lambda s: [c.value for c in s.book().sheet1.range("A1:B1")] == ["name", "count"]),
        ("Worksheet.get", lambda s: s.book().sheet1.get("A2:B2") == [["p", "1"]]),
        ("Worksheet.get_values", lambda s: s.book().sheet1.get_values("A2:A3") == [["p"], ["q"]]),
        ("Worksheet.get_all_values", lambda s: len(s.book().sheet1.get_all_values()) == 4),
        ("Worksheet.get_all_records", lambda s: s.book().sheet1.get_all_records()[1] == {
            "name": "q", "count": 2, "note": "y"}),
        ("Worksheet.row_values", lambda s: s.book().sheet1.row_values(1) == ["name", "count", "note"]),
        ("Worksheet.col_values", lambda s: s.book().sheet1.col_values(2) == ["count", "1", "2", "3"]),
        ("Worksheet.find", lambda s: s.book().sheet1.find("q").row == 3),
        ("Worksheet.findall", lambda s: [c.row for c in s.book().sheet1.findall("p")] == [2, 4]),
        ("Worksheet.append_row", _on(lambda w: w.append_row(["r", 4]), lambda w: w.row_values(5) == ["r", "4"])),
        ("Worksheet.append_rows", _on(
            lambda w: w.append_rows([["r"], ["s"]]), lambda w: w.col_values(1)[4:] == ["r", "s"])),
        ("Worksheet.insert_row", _on(lambda w: w.insert_row(["first"], 1), lambda w: w.row_values(1) == ["first"])),
        ("Worksheet.insert_cols", _on(
            lambda w: w.insert_cols([["h"]], 1), lambda w: w.row_values(1)[:2] == ["h", "name"])),
        ("Worksheet.delete_rows", _on(lambda w: w.delete_rows(2), lambda w: w.acell("A2").value == "q")),
        ("Worksheet.delete_columns", _on(lambda w: w.delete_columns(1), lambda w: w.acell("A1").value == "count")),
        ("Worksheet.add_rows", _on(
            lambda w: w.add_rows(10), lambda w: w.spreadsheet.worksheet("Sheet1").row_count == 1010)),
        ("Worksheet.resize", _on(
            lambda w: w.resize(rows=50, cols=3), lambda w: w.spreadsheet.worksheet("Sheet1").col_count == 3)),
        ("Worksheet.batch_update", _on(
            lambda w: w.batch_update([{"range": "A1:B1", "values": [["p", "q"]]}]),
            lambda w: w.acell("B1").value == "q")),
        ("Worksheet.batch_get", lambda s: s.book().sheet1.batch_get(["A1:B1"])[0] == [["name", "count"]]),
        ("Worksheet.batch_clear", _on(
            lambda w: w.batch_clear(["A1:B1"]), lambda w: w.row_values(1) == ["", "", "note"])),
        ("Worksheet.clear", _on(lambda w: w.clear(), lambda w: w.get_all_values() in ([], [[]]))),
        ("Worksheet.format", lambda s: s.book().sheet1.format(
            "A1", {"textFormat": {"bold": True}})["spreadsheetId"]),
        ("Worksheet.update_title", _on(
            lambda w: w.update_title("Renamed"), lambda w: w.spreadsheet.worksheet("Renamed"))),
        ("Worksheet.update beyond the grid", lambda s: raises(
            gspread.exceptions.APIError, lambda: s.book().sheet1.update([["far"]], "A5000"))),
    ]  # fmt: skip


def different_gspread_calls() -> list[DifferentCall]:
    """Those that are refused."""
    return [
        ("Worksheet.sort", "`sortRange` of batchUpdate: 501", lambda s: s.book().sheet1.sort((1, "asc"))),
        ("Spreadsheet.share", "permissions of Drive: 501", lambda s: s.book().share(
            "a@example.com", perm_type="user", role="reader")),
    ]  # fmt: skip
