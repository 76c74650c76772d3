"""The Sheets v4 values API: get, batchGet, append, update, clear; and ``spreadsheets.get`` for titles.

Checked against the discovery document ``sheets.v4``. A function finds it at ``GOOGLE_SHEETS_API_ENDPOINT``.
"""

from collections.abc import Sequence
from types import EllipsisType

from aiohttp import web

from pytest_deploygate.emulator.api.protobuf_json import ApiError, Json, read_json
from pytest_deploygate.emulator.services.sheets.a1_notation import format_range
from pytest_deploygate.emulator.services.sheets.cell_values import RENDERS, Cell, Render, enter
from pytest_deploygate.emulator.services.sheets.grid import COLUMNS, ROWS, Box, Grid
from pytest_deploygate.emulator.services.sheets.spreadsheets import SheetsStore

SHEETS = web.AppKey("sheets", SheetsStore)
Entered = Cell | EllipsisType | None
_INPUTS = ("RAW", "USER_ENTERED")
_INSERTS = ("OVERWRITE", "INSERT_ROWS")
_DIMENSIONS = ("ROWS", "COLUMNS")
_DATES = ("SERIAL_NUMBER", "FORMATTED_STRING")


def routes() -> list[web.RouteDef]:
    """All calls of this API, and the side endpoints that make and remove tabs."""
    one = "/v4/spreadsheets/{spreadsheet:[^/:]+}"
    own = "/_local/sheets/{spreadsheet}/tabs"
    return [
        web.get(one, get_spreadsheet),
        web.get(one + "/values:batchGet", batch_get),
        web.get(one + "/values/{range:.+}", get_values),
        web.put(one + "/values/{range:.+}", update_values),
        web.post(one + "/values/{range:.+}:append", append_values),
        web.post(one + "/values/{range:.+}:clear", clear_values),
        web.post(own, add_tab),
        web.delete(own + "/{title:.+}", delete_tab),
    ]


async def get_spreadsheet(request: web.Request) -> web.Response:
    """``spreadsheets.get``: identity and tabs, no cells."""
    store, spreadsheet = request.app[SHEETS], request.match_info["spreadsheet"]
    tabs = []
    for index, title in enumerate(store.titles(spreadsheet)):
        grid = store.grid(spreadsheet, title)
        size = {"rowCount": max(grid.height, ROWS), "columnCount": max(grid.width, COLUMNS)}
        number = store.sheet_id(spreadsheet, title)
        properties = {
            "sheetId": number,
            "title": title,
            "index": index,
            "sheetType": "GRID",
            "gridProperties": size,
        }
        tabs.append({"properties": properties})
    return web.json_response(
        {
            "spreadsheetId": spreadsheet,
            "properties": {"title": spreadsheet, "locale": "en_US"},
            "sheets": tabs,
        }
    )


async def get_values(request: web.Request) -> web.Response:
    """``values.get``."""
    return web.json_response(_read(request, request.match_info["range"]))


async def batch_get(request: web.Request) -> web.Response:
    """``values.batchGet``."""
    found = [_read(request, text) for text in request.query.getall("ranges", [])]
    return web.json_response(
        {"spreadsheetId": request.match_info["spreadsheet"], "valueRanges": found}
    )


async def update_values(request: web.Request) -> web.Response:
    """``values.update``: overwrite from the first cell of the range on."""
    store, spreadsheet = request.app[SHEETS], request.match_info["spreadsheet"]
    values = await _entered(request)
    title, area = store.resolve(spreadsheet, request.match_info["range"])
    grid = store.grid(spreadsheet, title)
    box = grid.closed(area)
    if len(values) > box.bottom - box.top + 1 or _width(values) > box.right - box.left + 1:
        raise ApiError(
            400,
            f"Requested writing within range [{request.match_info['range']}], but tried writing beyond",
        )
    grid.write(box.top, box.left, values)
    store.save(spreadsheet, title)
    return web.json_response(_updated(request, title, grid, box.top, box.left, values))


async def append_values(request: web.Request) -> web.Response:
    """``values.append``: after the last table within the range."""
    store, spreadsheet = request.app[SHEETS], request.match_info["spreadsheet"]
    values = await _entered(request)
    inserts = _choice(request, "insertDataOption", _INSERTS, "OVERWRITE") == "INSERT_ROWS"
    title, area = store.resolve(spreadsheet, request.match_info["range"])
    grid = store.grid(spreadsheet, title)
    table = grid.last_table(area)
    top, left = (area.top, area.left) if table is None else (table.bottom + 1, table.left)
    if inserts:
        grid.insert_rows(top, len(values))
    grid.write(top, left, values)
    store.save(spreadsheet, title)
    found: Json = {
        "spreadsheetId": spreadsheet,
        "updates": _updated(request, title, grid, top, left, values),
    }
    if table is not None:
        found["tableRange"] = format_range(title, table.top, table.left, table.bottom, table.right)
    return web.json_response(found)


async def clear_values(request: web.Request) -> web.Response:
    """``values.clear``: values go, rows stay."""
    store, spreadsheet = request.app[SHEETS], request.match_info["spreadsheet"]
    await read_json(request)
    title, area = store.resolve(spreadsheet, request.match_info["range"])
    grid = store.grid(spreadsheet, title)
    box = grid.closed(area)
    grid.clear(box)
    store.save(spreadsheet, title)
    cleared = format_range(title, box.top, box.left, box.bottom, box.right)
    return web.json_response({"spreadsheetId": spreadsheet, "clearedRange": cleared})


async def add_tab(request: web.Request) -> web.Response:
    """``POST /_local/sheets/{id}/tabs`` with ``{"title": ...}``: make a tab; nothing happens if there is one."""
    title = (await read_json(request)).get("title")
    if not isinstance(title, str) or not title or "\n" in title:
        raise ApiError(400, "title must be a text of one line")
    created = request.app[SHEETS].add_tab(request.match_info["spreadsheet"], title)
    return web.json_response({"title": title, "created": created})


async def delete_tab(request: web.Request) -> web.Response:
    """``DELETE /_local/sheets/{id}/tabs/{title}``: remove a tab with its cells."""
    deleted = request.app[SHEETS].delete_tab(
        request.match_info["spreadsheet"], request.match_info["title"]
    )
    return web.json_response({"deleted": deleted})


def _read(request: web.Request, text: str) -> Json:
    store, spreadsheet = request.app[SHEETS], request.match_info["spreadsheet"]
    by_columns = _choice(request, "majorDimension", _DIMENSIONS, "ROWS") == "COLUMNS"
    title, area = store.resolve(spreadsheet, text)
    grid = store.grid(spreadsheet, title)
    found = _shown(request, grid, grid.closed(area), prefix="")
    box = grid.closed(area)
    result: Json = {
        "range": format_range(title, box.top, box.left, box.bottom, box.right),
        "majorDimension": "COLUMNS" if by_columns else "ROWS",
    }
    if found:  # without any value, the answer has no ``values`` at all
        result["values"] = _transposed(found) if by_columns else found
    return result


def _shown(request: web.Request, grid: Grid, box: Box, *, prefix: str) -> list[list[object]]:
    names = {"": ("valueRenderOption", "dateTimeRenderOption")}
    value_name, date_name = names.get(
        prefix, ("responseValueRenderOption", "responseDateTimeRenderOption")
    )
    wanted = _choice(request, value_name, RENDERS, "FORMATTED_VALUE")
    render: Render = next(option for option in RENDERS if option == wanted)
    as_text = _choice(request, date_name, _DATES, "SERIAL_NUMBER") == "FORMATTED_STRING"
    return [
        ["" if cell is None else cell.shown(render, dates_as_text=as_text) for cell in row]
        for row in grid.read(box)
    ]


def _transposed(rows: list[list[object]]) -> list[list[object]]:
    columns: list[list[object]] = []
    for column in range(max(map(len, rows))):
        values = [row[column] if column < len(row) else "" for row in rows]
        while values and values[-1] == "":
            values.pop()
        columns.append(values)
    return columns


async def _entered(request: web.Request) -> list[list[Entered]]:
    """The values of a request as rows of cells; null becomes Ellipsis, that is: leave the cell as it is.

    Raises:
        ApiError: 400 if ``valueInputOption`` is missing, or the values are no list of lists of plain values.
    """
    body = await read_json(request)
    if "valueInputOption" not in request.query:
        raise ApiError(400, "'valueInputOption' is required but not specified")
    is_raw = _choice(request, "valueInputOption", _INPUTS, "") == "RAW"
    if unknown := set(body) - {"range", "majorDimension", "values"}:
        raise ApiError(
            400, f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        )
    given = body.get("values", [])
    if not isinstance(given, list) or not all(isinstance(row, list) for row in given):
        raise ApiError(
            400, "Invalid value at 'data.values' (type.googleapis.com/google.protobuf.ListValue)"
        )
    try:
        rows: list[list[Entered]] = [
            [... if v is None else enter(v, is_raw=is_raw) for v in row] for row in given
        ]
    except ValueError as error:
        raise ApiError(400, f"Invalid values: {error}") from error
    if body.get("majorDimension") == "COLUMNS":
        rows = [
            [column[i] if i < len(column) else ... for column in rows] for i in range(_width(rows))
        ]
    return rows


def _updated(
    request: web.Request, title: str, grid: Grid, top: int, left: int, values: list[list[Entered]]
) -> Json:
    width = max(_width(values), 1)
    box = Box(top=top, left=left, bottom=top + max(len(values), 1) - 1, right=left + width - 1)
    cells = sum(value is not ... for row in values for value in row)
    span = format_range(title, box.top, box.left, box.bottom, box.right)
    found: Json = {"spreadsheetId": request.match_info["spreadsheet"], "updatedRange": span}
    if cells:  # counts of 0 are left out, as proto3 does
        found |= {"updatedRows": len(values), "updatedColumns": width, "updatedCells": cells}
    if request.query.get("includeValuesInResponse") == "true":
        shown = _shown(request, grid, box, prefix="response")
        found["updatedData"] = {"range": span, "majorDimension": "ROWS", "values": shown}
    return found


def _width(values: Sequence[Sequence[object]]) -> int:
    return max(map(len, values), default=0)


def _choice(request: web.Request, name: str, allowed: Sequence[str], default: str) -> str:
    value = request.query.get(name, default)
    if value not in allowed:
        raise ApiError(
            400, f"Invalid value at '{name}': {value!r} is not one of {', '.join(allowed)}"
        )
    return value
