"""``spreadsheets.create`` and ``spreadsheets.batchUpdate``, as far as they make, change and remove tabs.

Formats are accepted and not kept, as nothing here shows them. A request of any other kind is 501 and names itself.
"""

from collections.abc import Callable

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json
from pytest_deploygate.emulator.services.call import Call
from pytest_deploygate.emulator.services.sheets.models import (
    COLUMNS,
    ROWS,
    SheetsStore,
    Tab,
    is_title,
)
from pytest_deploygate.emulator.services.sheets.responses import describe, properties_of

_SPREADSHEET = "application/vnd.google-apps.spreadsheet"
_FORMATS = (
    "repeatCell",
    "updateBorders",
    "autoResizeDimensions",
    "updateDimensionProperties",
    "mergeCells",
)


def create_spreadsheet(store: SheetsStore, call: Call) -> Json:
    """``spreadsheets.create``: with the tabs that are asked for, or one."""
    body = call.body()
    title = _object(body, "properties").get("title", "Untitled spreadsheet")
    sheets = body.get("sheets") or [{"properties": {"title": "Sheet1"}}]
    if not isinstance(sheets, list) or not all(isinstance(sheet, dict) for sheet in sheets):
        raise ApiError(400, "Invalid value at 'spreadsheet.sheets': a list of sheets is expected")
    return describe(
        store, _create(store, title, [_object(sheet, "properties") for sheet in sheets])
    )


def create_file(store: SheetsStore, call: Call) -> Json:
    """``files.create`` of Drive v3 for a spreadsheet, by which gspread makes one; no other file can be had."""
    body = call.body()
    if body.get("mimeType") != _SPREADSHEET:
        raise ApiError(501, f"The emulator makes no file but one of type {_SPREADSHEET}")
    name = body.get("name", "Untitled")
    identity = _create(store, name, [{"title": "Sheet1"}])
    return {"kind": "drive#file", "id": identity, "name": name, "mimeType": _SPREADSHEET}


def _create(store: SheetsStore, title: object, sheets: list[Json]) -> str:
    if not isinstance(title, str):
        raise ApiError(400, "Invalid value at 'title': a text is expected")
    with store.transaction():
        spreadsheet = store.create(title)
        for number, properties in enumerate(sheets):
            wanted = {"title": f"Sheet{number + 1}", "sheetId": number, **properties}
            store.add_tab(_new_tab(spreadsheet, wanted))
    return spreadsheet


def batch_update(store: SheetsStore, call: Call) -> Json:
    """``spreadsheets.batchUpdate``: all requests or none."""
    body, spreadsheet = call.body(), call.path["spreadsheet"]
    requests = body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise ApiError(400, "Invalid requests: Must specify at least one request.")
    replies: list[Json] = []
    with store.transaction():
        store.tabs(spreadsheet)
        for index, request in enumerate(requests):
            if not isinstance(request, dict) or len(request) != 1:
                raise ApiError(400, f"Invalid requests[{index}]: exactly one kind must be set")
            kind = str(next(iter(request)))
            if kind in _FORMATS:
                replies.append({})
                continue
            if kind not in _KINDS:
                raise ApiError(
                    501, f"The emulator does not have the request {kind!r} of batchUpdate"
                )
            try:
                replies.append(_KINDS[kind](store, spreadsheet, _object(request, kind)))
            except ApiError as error:
                text = f"Invalid requests[{index}].{kind}: {error.message}"
                raise ApiError(error.http, text) from error
    return {"spreadsheetId": spreadsheet, "replies": replies}


def _add_sheet(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    properties = _object(value, "properties")
    number = len(store.tabs(spreadsheet)) + 1
    tab = store.add_tab(_new_tab(spreadsheet, {"title": f"Sheet{number}", **properties}))
    return {"addSheet": {"properties": properties_of(tab)}}


def _delete_sheet(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    tab = store.tab(spreadsheet, _whole(value, "sheetId"))
    if len(store.tabs(spreadsheet)) == 1:
        raise ApiError(400, "You can't remove all the sheets in a document.")
    store.delete_tab(tab)
    return {}


def _duplicate_sheet(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    source = store.tab(spreadsheet, _whole(value, "sourceSheetId"))
    wanted: Json = {
        "title": value.get("newSheetName") or f"Copy of {source.title}",
        "sheetId": value.get("newSheetId", -1),
        "index": value.get("insertSheetIndex", 0),
        "gridProperties": {"rowCount": source.rows, "columnCount": source.columns},
    }
    tab = store.add_tab(_new_tab(spreadsheet, wanted))
    found, copy = store.grid(source), store.grid(tab)
    for index in range(found.height):
        if found.row(index):
            copy.write(index, 0, [found.row(index)])
    store.save(tab)
    return {"duplicateSheet": {"properties": properties_of(tab)}}


def _update_sheet(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    properties, fields = _object(value, "properties"), str(value.get("fields", ""))
    tab = store.tab(spreadsheet, _whole(properties, "sheetId", default=0))
    names = (
        set(fields.split(",")) if fields != "*" else {"title", "gridProperties"} & set(properties)
    )
    if not fields:
        raise ApiError(400, "fields must be given")
    if "title" in names:
        title = properties.get("title")
        if not isinstance(title, str) or not is_title(title):
            raise ApiError(400, "a title is a text of one line, at most 100 characters long")
        if any(t.title == title and t.sheet_id != tab.sheet_id for t in store.tabs(spreadsheet)):
            raise ApiError(400, f'A sheet with the name "{title}" already exists.')
        tab.title = title
        store.keep(tab)
    grid = _object(properties, "gridProperties")
    if any(name.startswith("gridProperties") for name in names):
        rows = _whole(grid, "rowCount", default=tab.rows)
        columns = _whole(grid, "columnCount", default=tab.columns)
        store.resize(tab, rows, columns)
    return {}


def _update_spreadsheet(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    title = _object(value, "properties").get("title")
    if "title" in str(value.get("fields", "")) or value.get("fields") == "*":
        if not isinstance(title, str):
            raise ApiError(400, "a title is a text")
        store.rename(spreadsheet, title)
    return {}


def _append_dimension(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    tab = store.tab(spreadsheet, _whole(value, "sheetId", default=0))
    length = _whole(value, "length")
    is_rows = value.get("dimension") != "COLUMNS"
    rows, columns = (
        (tab.rows + length, tab.columns) if is_rows else (tab.rows, tab.columns + length)
    )
    store.resize(tab, rows, columns)
    return {}


def _insert_dimension(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    tab, is_rows, start, count = _span(store, spreadsheet, value)
    grid = store.grid(tab)
    if is_rows:
        store.resize(tab, tab.rows + count, tab.columns)
        grid.insert_rows(start, count)
    else:
        store.resize(tab, tab.rows, tab.columns + count)
        grid.shift_columns(start, count)
    store.save(tab)
    return {}


def _delete_dimension(store: SheetsStore, spreadsheet: str, value: Json) -> Json:
    tab, is_rows, start, count = _span(store, spreadsheet, value)
    grid = store.grid(tab)
    if is_rows:
        count = min(count, tab.rows - start)
        grid.delete_rows(start, count)
        store.resize(tab, tab.rows - count, tab.columns)
    else:
        count = min(count, tab.columns - start)
        grid.shift_columns(start, -count)
        store.resize(tab, tab.rows, tab.columns - count)
    return {}


def _span(store: SheetsStore, spreadsheet: str, value: Json) -> tuple[Tab, bool, int, int]:
    given = _object(value, "range")
    tab = store.tab(spreadsheet, _whole(given, "sheetId", default=0))
    is_rows = given.get("dimension") != "COLUMNS"
    size = tab.rows if is_rows else tab.columns
    start = _whole(given, "startIndex", default=0)
    end = _whole(given, "endIndex", default=size)
    if not 0 <= start < end or start > size:
        raise ApiError(400, f"range from {start} to {end} is not within the {size} there are")
    return tab, is_rows, start, end - start


_KINDS: dict[str, Callable[[SheetsStore, str, Json], Json]] = {
    "addSheet": _add_sheet,
    "deleteSheet": _delete_sheet,
    "duplicateSheet": _duplicate_sheet,
    "updateSheetProperties": _update_sheet,
    "updateSpreadsheetProperties": _update_spreadsheet,
    "appendDimension": _append_dimension,
    "insertDimension": _insert_dimension,
    "deleteDimension": _delete_dimension,
}


def _new_tab(spreadsheet: str, properties: Json) -> Tab:
    grid, title = _object(properties, "gridProperties"), properties.get("title")
    if not isinstance(title, str) or not is_title(title):
        raise ApiError(400, "a title is a text of one line, at most 100 characters long")
    return Tab(
        spreadsheet=spreadsheet,
        sheet_id=_whole(properties, "sheetId", default=-1),
        title=title,
        position=_whole(properties, "index", default=-1),
        rows=_whole(grid, "rowCount", default=ROWS),
        columns=_whole(grid, "columnCount", default=COLUMNS),
    )


def _object(parent: Json, name: str) -> Json:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise ApiError(400, f"Invalid value at '{name}': an object is expected")
    return value


def _whole(parent: Json, name: str, *, default: int | None = None) -> int:
    given = parent.get(name)
    value = default if given is None else given
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 2**31:
        raise ApiError(400, f"Invalid value at '{name}': a whole number is expected")
    return value
