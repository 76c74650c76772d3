"""Which path of the Sheets v4 API leads to which answer (discovery document ``sheets.v4``)."""

from collections.abc import Callable

from pytest_deploygate.emulator.api.protobuf_json import Json
from pytest_deploygate.emulator.services.call import Call
from pytest_deploygate.emulator.services.sheets import batch, responses
from pytest_deploygate.emulator.services.sheets.models import SheetsStore

_ONE = "/v4/spreadsheets/{spreadsheet:[^/:]+}"
_RANGE = _ONE + "/values/{range:.+}"
_TABS = "/_local/sheets/{spreadsheet}/tabs"

URLS: tuple[tuple[str, str, Callable[[SheetsStore, Call], Json]], ...] = (
    ("POST", "/v4/spreadsheets", batch.create_spreadsheet),
    ("POST", "/drive/v3/files", batch.create_file),
    ("GET", _ONE, responses.get_spreadsheet),
    ("POST", _ONE + ":batchUpdate", batch.batch_update),
    ("GET", _ONE + "/values:batchGet", responses.batch_get),
    ("POST", _ONE + "/values:batchUpdate", responses.batch_update_values),
    ("POST", _ONE + "/values:batchClear", responses.batch_clear),
    ("GET", _RANGE, responses.get_values),
    ("PUT", _RANGE, responses.update_values),
    ("POST", _RANGE + ":append", responses.append_values),
    ("POST", _RANGE + ":clear", responses.clear_values),
    ("POST", _TABS, responses.add_tab),
    ("DELETE", _TABS + "/{title:.+}", responses.delete_tab),
)
