"""What the calls of the Sheets v4 values API answer: get, batchGet, append, update, clear and their batches.

Checked against the discovery document ``sheets.v4``.
"""

from collections.abc import Sequence
from types import EllipsisType

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json
from pytest_deploygate.emulator.services.call import Call
from pytest_deploygate.emulator.services.sheets.a1_notation import Area, column_name, format_range
from pytest_deploygate.emulator.services.sheets.cell_values import RENDERS, Cell, Render, enter
from pytest_deploygate.emulator.services.sheets.grid import Box, Grid
from pytest_deploygate.emulator.services.sheets.models import SheetsStore, Tab, is_title

Entered = Cell | EllipsisType | None
Options = dict[str, str]
_INPUTS = ("RAW", "USER_ENTERED")
_INSERTS = ("OVERWRITE", "INSERT_ROWS")
_DIMENSIONS = ("ROWS", "COLUMNS")
_DATES = ("SERIAL_NUMBER", "FORMATTED_STRING")
_VALUE_RANGE = {"range", "majorDimension", "values"}


def get_spreadsheet(store: SheetsStore, call: Call) -> Json:
    """``spreadsheets.get``: identity and tabs, no cells."""
    return describe(store, call.path["spreadsheet"])


def describe(store: SheetsStore, spreadsheet: str) -> Json:
    """A spreadsheet as the API shows it, without cells."""
    return {
        "spreadsheetId": spreadsheet,
        "properties": {"title": store.title(spreadsheet), "locale": "en_US", "timeZone": "Etc/GMT"},
        "sheets": [{"properties": properties_of(tab)} for tab in store.tabs(spreadsheet)],
        "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{spreadsheet}/edit",
    }


def properties_of(tab: Tab) -> Json:
    """``SheetProperties`` of a tab."""
    return {
        "sheetId": tab.sheet_id,
        "title": tab.title,
        "index": tab.position,
        "sheetType": "GRID",
        "gridProperties": {"rowCount": tab.rows, "columnCount": tab.columns},
    }


def get_values(store: SheetsStore, call: Call) -> Json:
    """``values.get``."""
    return _read(store, call, call.path["range"])


def batch_get(store: SheetsStore, call: Call) -> Json:
    """``values.batchGet``."""
    ranges = call.query.getall("ranges", [])
    return {
        "spreadsheetId": call.path["spreadsheet"],
        "valueRanges": [_read(store, call, text) for text in ranges],
    }


def update_values(store: SheetsStore, call: Call) -> Json:
    """``values.update``: overwrite from the first cell of the range on."""
    options = dict(call.query)
    with store.transaction():
        return _update(store, call.path["spreadsheet"], call.path["range"], call.body(), options)


def batch_update_values(store: SheetsStore, call: Call) -> Json:
    """``values.batchUpdate``: several updates, all or none."""
    body, spreadsheet = call.body(), call.path["spreadsheet"]
    known = {
        "valueInputOption", "data", "includeValuesInResponse", "responseValueRenderOption",
        "responseDateTimeRenderOption",
    }  # fmt: skip
    _refuse_unknown(body, known)
    options = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in body.items()}
    data = body.get("data", [])
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise ApiError(400, "Invalid value at 'data': a list of ranges with values is expected")
    with store.transaction():
        found = [
            _update(store, spreadsheet, str(one.get("range", "")), one, options) for one in data
        ]
    totals: Json = {"spreadsheetId": spreadsheet}
    for total, name in (
        ("totalUpdatedRows", "updatedRows"), ("totalUpdatedColumns", "updatedColumns"),
        ("totalUpdatedCells", "updatedCells"),
    ):  # fmt: skip
        if count := sum(int(str(one.get(name, 0))) for one in found):
            totals[total] = count
    if found:
        totals["totalUpdatedSheets"] = len(
            {str(one["updatedRange"]).rpartition("!")[0] for one in found}
        )
    return totals | {"responses": found}


def append_values(store: SheetsStore, call: Call) -> Json:
    """``values.append``: after the last table within the range; the grid grows as needed."""
    options, spreadsheet = dict(call.query), call.path["spreadsheet"]
    inserts = _choice(options, "insertDataOption", _INSERTS, "OVERWRITE") == "INSERT_ROWS"
    values = _entries(call.body(), options)
    with store.transaction():
        tab, area = store.resolve(spreadsheet, call.path["range"])
        grid, box = store.grid(tab), clip_to_grid(tab, area, call.path["range"])
        bounds = (
            box
            if area.bottom is None
            else Box(top=0, left=0, bottom=tab.rows - 1, right=tab.columns - 1)
        )
        table = grid.last_table(box, bounds)
        top, left = (box.top, box.left) if table is None else (table.bottom + 1, table.left)
        # rows that are inserted make the grid longer wherever they are
        below = max(grid.height, top) if inserts else top
        rows, columns = max(tab.rows, below + len(values)), max(tab.columns, left + _width(values))
        if (rows, columns) != (tab.rows, tab.columns):
            store.resize(tab, rows, columns)
        if inserts:
            grid.insert_rows(top, len(values))
        grid.write(top, left, values)
        store.save(tab)
        updates = _update_answer(tab, grid, (top, left), values, options)
    found: Json = {"spreadsheetId": spreadsheet, "updates": updates}
    if table is not None:
        found["tableRange"] = format_range(
            tab.title, table.top, table.left, table.bottom, table.right
        )
    return found


def clear_values(store: SheetsStore, call: Call) -> Json:
    """``values.clear``: values go, rows stay."""
    _refuse_unknown(call.body(), set())
    with store.transaction():
        cleared = _clear(store, call.path["spreadsheet"], call.path["range"])
    return {"spreadsheetId": call.path["spreadsheet"], "clearedRange": cleared}


def batch_clear(store: SheetsStore, call: Call) -> Json:
    """``values.batchClear``: several ranges, all or none."""
    body = call.body()
    _refuse_unknown(body, {"ranges"})
    ranges = body.get("ranges", [])
    if not isinstance(ranges, list) or not all(isinstance(text, str) for text in ranges):
        raise ApiError(400, "Invalid value at 'ranges': a list of texts is expected")
    with store.transaction():
        cleared = [_clear(store, call.path["spreadsheet"], text) for text in ranges]
    return {"spreadsheetId": call.path["spreadsheet"], "clearedRanges": cleared}


def add_tab(store: SheetsStore, call: Call) -> Json:
    """``POST /_local/sheets/{id}/tabs`` with ``{"title": ...}``: make a tab; nothing happens if there is one."""
    title, spreadsheet = call.body().get("title"), call.path["spreadsheet"]
    if not isinstance(title, str) or not is_title(title):
        raise ApiError(400, "title must be a text of one line, at most 100 characters long")
    if any(tab.title == title for tab in store.tabs(spreadsheet)):
        return {"title": title, "created": False}
    with store.transaction():
        store.add_tab(Tab(spreadsheet=spreadsheet, sheet_id=-1, title=title, position=-1))
    return {"title": title, "created": True}


def delete_tab(store: SheetsStore, call: Call) -> Json:
    """``DELETE /_local/sheets/{id}/tabs/{title}``: remove a tab with its cells."""
    found = [t for t in store.tabs(call.path["spreadsheet"]) if t.title == call.path["title"]]
    with store.transaction():
        for tab in found:
            store.delete_tab(tab)
    return {"deleted": bool(found)}


def clip_to_grid(tab: Tab, area: Area, text: str) -> Box:
    """``area`` within the grid, its open ends and what lies beyond at the last row and column.

    Raises:
        ApiError: 400 as Google answers if it begins outside of the grid.
    """
    if area.top >= tab.rows or area.left >= tab.columns:
        raise ApiError(
            400,
            f"Range ({text}) exceeds grid limits. Max rows: {tab.rows}, max columns: {tab.columns}",
        )
    bottom, right = tab.rows - 1, tab.columns - 1
    return Box(
        top=area.top,
        left=area.left,
        bottom=bottom if area.bottom is None else min(area.bottom, bottom),
        right=right if area.right is None else min(area.right, right),
    )


def _update(store: SheetsStore, spreadsheet: str, text: str, body: Json, options: Options) -> Json:
    values = _entries(body, options)
    tab, area = store.resolve(spreadsheet, text)
    box = clip_to_grid(tab, area, text)
    bottom, right = box.top + len(values) - 1, box.left + _width(values) - 1
    if (box.top, box.left) != (
        area.bottom,
        area.right,
    ):  # one cell is an anchor, anything more a bound
        if bottom > box.bottom:
            raise _beyond_grid_error(text, f"row [{box.bottom + 2}]")
        if right > box.right:
            raise _beyond_grid_error(text, f"column [{column_name(box.right + 1)}]")
    if bottom >= tab.rows or right >= tab.columns:
        span = format_range(tab.title, box.top, box.left, bottom, right)
        raise ApiError(
            400,
            f"Range ({span}) exceeds grid limits. Max rows: {tab.rows}, max columns: {tab.columns}",
        )
    grid = store.grid(tab)
    grid.write(box.top, box.left, values)
    store.save(tab)
    return _update_answer(tab, grid, (box.top, box.left), values, options)


def _beyond_grid_error(text: str, what: str) -> ApiError:
    return ApiError(400, f"Requested writing within range [{text}], but tried writing to {what}")


def _clear(store: SheetsStore, spreadsheet: str, text: str) -> str:
    tab, area = store.resolve(spreadsheet, text)
    box = clip_to_grid(tab, area, text)
    store.grid(tab).clear(box)
    store.save(tab)
    return format_range(tab.title, box.top, box.left, box.bottom, box.right)


def _read(store: SheetsStore, call: Call, text: str) -> Json:
    options = dict(call.query)
    by_columns = _choice(options, "majorDimension", _DIMENSIONS, "ROWS") == "COLUMNS"
    tab, area = store.resolve(call.path["spreadsheet"], text)
    box = clip_to_grid(tab, area, text)
    found = _render_rows(options, store.grid(tab), box, prefix="")
    result: Json = {
        "range": format_range(tab.title, box.top, box.left, box.bottom, box.right),
        "majorDimension": "COLUMNS" if by_columns else "ROWS",
    }
    if found:  # without any value, the answer has no ``values`` at all
        result["values"] = _transpose(found) if by_columns else found
    return result


def _render_rows(options: Options, grid: Grid, box: Box, *, prefix: str) -> list[list[object]]:
    names = {"": ("valueRenderOption", "dateTimeRenderOption")}
    value_name, date_name = names.get(
        prefix, ("responseValueRenderOption", "responseDateTimeRenderOption")
    )
    wanted = _choice(options, value_name, RENDERS, "FORMATTED_VALUE")
    render: Render = next(option for option in RENDERS if option == wanted)
    as_text = _choice(options, date_name, _DATES, "SERIAL_NUMBER") == "FORMATTED_STRING"
    return [
        ["" if cell is None else cell.render(render, dates_as_text=as_text) for cell in row]
        for row in grid.read(box)
    ]


def _transpose(rows: list[list[object]]) -> list[list[object]]:
    columns: list[list[object]] = []
    for column in range(max(map(len, rows))):
        values = [row[column] if column < len(row) else "" for row in rows]
        while values and values[-1] == "":
            values.pop()
        columns.append(values)
    return columns


def _entries(body: Json, options: Options) -> list[list[Entered]]:
    """The values of a request as rows of cells; null becomes Ellipsis, that is: leave the cell as it is.

    Raises:
        ApiError: 400 if ``valueInputOption`` is missing, or the values are no list of lists of plain values.
    """
    if "valueInputOption" not in options:
        raise ApiError(400, "'valueInputOption' is required but not specified")
    is_raw = _choice(options, "valueInputOption", _INPUTS, "") == "RAW"
    _refuse_unknown(body, _VALUE_RANGE)
    given = body.get("values", [])
    if not isinstance(given, list) or not all(isinstance(row, list) for row in given):
        raise ApiError(
            400, "Invalid value at 'data.values' (type.googleapis.com/google.protobuf.ListValue)"
        )
    rows = [_enter_all(row, is_raw=is_raw) for row in given]
    return _columns_as_rows(rows) if body.get("majorDimension") == "COLUMNS" else rows


def _enter_all(values: list[object], *, is_raw: bool) -> list[Entered]:
    try:
        return [... if value is None else enter(value, is_raw=is_raw) for value in values]
    except ValueError as error:
        raise ApiError(400, _reason(error)) from error


def _columns_as_rows(columns: list[list[Entered]]) -> list[list[Entered]]:
    return [
        [column[i] if i < len(column) else ... for column in columns]
        for i in range(_width(columns))
    ]


def _reason(error: ValueError) -> str:
    is_half = isinstance(error, UnicodeEncodeError)
    return "Invalid values: half of a surrogate pair is no text" if is_half else str(error)


def _refuse_unknown(body: Json, known: set[str]) -> None:
    if unknown := set(body) - known:
        raise ApiError(
            400, f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        )


def _update_answer(
    tab: Tab, grid: Grid, first: tuple[int, int], values: list[list[Entered]], options: Options
) -> Json:
    top, left = first
    width = max(_width(values), 1)
    box = Box(top=top, left=left, bottom=top + max(len(values), 1) - 1, right=left + width - 1)
    cells = sum(value is not ... for row in values for value in row)
    span = format_range(tab.title, box.top, box.left, box.bottom, box.right)
    found: Json = {"spreadsheetId": tab.spreadsheet, "updatedRange": span}
    if cells:  # counts of 0 are left out, as proto3 does
        found |= {"updatedRows": len(values), "updatedColumns": width, "updatedCells": cells}
    if options.get("includeValuesInResponse") == "true":
        shown = _render_rows(options, grid, box, prefix="response")
        found["updatedData"] = {"range": span, "majorDimension": "ROWS", "values": shown}
    return found


def _width(values: Sequence[Sequence[object]]) -> int:
    return max(map(len, values), default=0)


def _choice(options: Options, name: str, allowed: Sequence[str], default: str) -> str:
    value = options.get(name, default)
    if value not in allowed:
        raise ApiError(
            400, f"Invalid value at '{name}': {value!r} is not one of {', '.join(allowed)}"
        )
    return value
