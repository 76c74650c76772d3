"""Clients that nobody here wrote, each call as its documentation has it (docs/reference/emulator-fidelity.md)."""

from collections.abc import Callable, Iterator

import pytest
import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from requests.adapters import HTTPAdapter

from tests.emulator.emulator_driver import PARENT, Driver, Pair, make_pair, who, zipped

gspread = pytest.importorskip("gspread")
discovery = pytest.importorskip("googleapiclient.discovery")

_F = f"{PARENT}/functions"


class ToEmulator(HTTPAdapter):
    """Sends what is meant for Google to the emulator: the few lines that docs/how-to shows."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint

    def send(
        self, request: requests.PreparedRequest, *args: object, **options: object
    ) -> requests.Response:
        """Keep path and query, change the place."""
        request.url = self._endpoint + request.path_url
        return super().send(request, *args, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def google(shared_driver: Driver) -> Iterator[Callable[[str, str], object]]:
    """Makes a service of google-api-python-client, from the documents that it brings."""

    opened = []

    def build(name: str, version: str) -> object:
        service = discovery.build(
            name,
            version,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=shared_driver.cloud.endpoint),
            static_discovery=True,
        )
        opened.append(service)
        return service

    yield build
    for service in opened:
        service.close()


@pytest.fixture(scope="module")
def foreign(shared_driver: Driver) -> Pair:
    """A service that these tests change as they like."""
    return make_pair(shared_driver, "foreign")


_FUNCTIONS_CALLS: list[tuple[str, Callable[..., object]]] = [
    ("functions.list", lambda f, _: f.list(parent=PARENT)),
    ("functions.list everywhere", lambda f, _: f.list(parent="projects/p1/locations/-", pageSize=1)),
    ("functions.list filter", lambda f, _: f.list(parent=PARENT, filter='environment="GEN_2"')),
    ("functions.list orderBy", lambda f, _: f.list(parent=PARENT, orderBy="name desc")),
    ("functions.get", lambda f, n: f.get(name=n)),
    ("functions.generateUploadUrl", lambda f, _: f.generateUploadUrl(parent=PARENT, body={"environment": "GEN_2"})),
    ("functions.generateDownloadUrl", lambda f, n: f.generateDownloadUrl(name=n, body={})),
    ("functions.getIamPolicy", lambda f, n: f.getIamPolicy(resource=n)),
    ("functions.setIamPolicy", lambda f, n: f.setIamPolicy(resource=n, body={"policy": {"bindings": []}})),
    ("functions.testIamPermissions", lambda f, n: f.testIamPermissions(resource=n, body={"permissions": ["a.b"]})),
    ("functions.patch labels", lambda f, n: f.patch(name=n, updateMask="labels", body={"labels": {"a": "b"}})),
]  # fmt: skip
_RUN_CALLS: list[tuple[str, Callable[..., object]]] = [
    ("services.list", lambda s, _: s.list(parent=PARENT)),
    ("services.get", lambda s, n: s.get(name=n)),
    ("services.getIamPolicy", lambda s, n: s.getIamPolicy(resource=n)),
    ("services.testIamPermissions", lambda s, n: s.testIamPermissions(resource=n, body={"permissions": ["a.b"]})),
    ("services.patch labels", lambda s, n: s.patch(name=n, updateMask="labels", body={"labels": {"a": "b"}})),
    ("services.patch validateOnly", lambda s, n: s.patch(
        name=n, updateMask="labels", validateOnly=True, body={"labels": {"c": "d"}})),
    ("revisions.list", lambda s, n: s.revisions().list(parent=n, pageSize=1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "call"), _FUNCTIONS_CALLS, ids=[name for name, _ in _FUNCTIONS_CALLS]
)
def test_google_api_python_client_functions(
    google: Callable[[str, str], object], foreign: Pair, name: str, call: Callable[..., object]
) -> None:
    functions = google("cloudfunctions", "v2").projects().locations().functions()  # type: ignore[attr-defined]
    assert isinstance(call(functions, f"{_F}/foreign").execute(), dict), name  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "call"), _RUN_CALLS, ids=[name for name, _ in _RUN_CALLS])
def test_google_api_python_client_run(
    google: Callable[[str, str], object], foreign: Pair, name: str, call: Callable[..., object]
) -> None:
    services = google("run", "v2").projects().locations().services()  # type: ignore[attr-defined]
    assert isinstance(call(services, foreign.service.name).execute(), dict), name  # type: ignore[attr-defined]


def test_google_api_python_client_deploys_waits_and_deletes(
    google: Callable[[str, str], object], shared_driver: Driver, function_id: str
) -> None:
    locations = google("cloudfunctions", "v2").projects().locations()  # type: ignore[attr-defined]
    place = locations.functions().generateUploadUrl(parent=PARENT, body={}).execute()
    head = {"content-type": "application/zip"}
    shared_driver.http.put(place["uploadUrl"], data=zipped(main_py=who()), headers=head, timeout=20)
    build = {
        "runtime": "python311",
        "entryPoint": "hello",
        "source": {"storageSource": place["storageSource"]},
    }
    call = locations.functions().create(
        parent=PARENT, functionId=function_id, body={"buildConfig": build}
    )
    operation = call.execute()
    run = google("run", "v2").projects().locations().operations()  # type: ignore[attr-defined]
    done = run.wait(name=operation["name"], body={"timeout": "60s"}).execute()
    assert done["response"]["state"] == "ACTIVE"
    listed = locations.operations().list(name=PARENT, filter="done:true").execute()["operations"]
    assert operation["name"] in [one["name"] for one in listed]
    assert locations.runtimes().list(parent=PARENT).execute()["runtimes"]
    assert locations.list(name="projects/p1").execute()["locations"]
    locations.functions().delete(name=f"{_F}/{function_id}").execute()


def test_google_api_python_client_sheets(google: Callable[[str, str], object]) -> None:
    sheets = google("sheets", "v4").spreadsheets()  # type: ignore[attr-defined]
    made = sheets.create(body={"properties": {"title": "T"}}).execute()["spreadsheetId"]
    body = {"values": [["a", "1/2/2025"], ["b", "$3.50"]]}
    written = sheets.values().update(
        spreadsheetId=made, range="Sheet1!A1", valueInputOption="USER_ENTERED", body=body
    )
    assert written.execute()["updatedCells"] == 4
    more = sheets.values().append(
        spreadsheetId=made, range="Sheet1!A:B", valueInputOption="RAW", body={"values": [["c"]]}
    )
    assert more.execute()["updates"]["updatedRange"] == "Sheet1!A3"
    found = (
        sheets.values().batchGet(spreadsheetId=made, ranges=["Sheet1!A1:B2", "Sheet1!A3"]).execute()
    )
    assert found["valueRanges"][0]["values"] == [["a", "1/2/2025"], ["b", "$3.50"]]
    sheets.values().batchClear(spreadsheetId=made, body={"ranges": ["Sheet1!A3"]}).execute()
    sheets.values().clear(spreadsheetId=made, range="Sheet1!A1", body={}).execute()
    left = sheets.values().get(spreadsheetId=made, range="Sheet1").execute()["values"]
    assert left == [["", "1/2/2025"], ["b", "$3.50"]]
    added = {"requests": [{"addSheet": {"properties": {"title": "More"}}}]}
    sheets.batchUpdate(spreadsheetId=made, body=added).execute()
    assert len(sheets.get(spreadsheetId=made).execute()["sheets"]) == 2


@pytest.fixture
def session(shared_driver: Driver) -> Iterator[requests.Session]:
    """A session that takes the emulator for Google."""
    with requests.Session() as opened:
        for place in ("https://sheets.googleapis.com/", "https://www.googleapis.com/"):
            opened.mount(place, ToEmulator(shared_driver.cloud.endpoint))
        yield opened


def test_gspread_as_its_readme_has_it(session: requests.Session) -> None:
    client = gspread.Client(auth=None, session=session)
    book = client.create("A new spreadsheet")
    sheet = book.sheet1
    sheet.update([[1, 2], [3, 4]], "A1")
    sheet.update_acell("B42", "it's down there somewhere, let me take another look.")
    assert sheet.acell("B1").value == "2"
    assert sheet.cell(2, 1).value == "3"
    assert sheet.col_values(1)[:2] == ["1", "3"]
    assert sheet.find("3").row == 2
    sheet.append_row(["x", "y"])
    sheet.append_rows([["x", "y"], ["z", ""]])
    sheet.insert_row(["first"], 1)
    assert sheet.row_values(1) == ["first"]
    sheet.delete_rows(1)
    sheet.batch_update([{"range": "A1:B1", "values": [["p", "q"]]}])
    assert sheet.batch_get(["A1:B1"])[0] == [["p", "q"]]
    sheet.format("A1:B1", {"textFormat": {"bold": True}})
    sheet.batch_clear(["A1:B1"])
    sheet.resize(rows=50, cols=3)
    assert len(sheet.get_all_values()) == 45
    other = book.add_worksheet(title="Another", rows=10, cols=5)
    other.update_title("Renamed")
    assert [one.title for one in book.worksheets()] == ["Sheet1", "Renamed"]
    copied = book.duplicate_sheet(sheet.id, new_sheet_name="Copy")
    assert copied.get_all_values() == sheet.get_all_values()
    book.del_worksheet(other)
    sheet.clear()
    assert sheet.get_all_values() in ([], [[]])
    with pytest.raises(gspread.exceptions.APIError, match="exceeds grid limits"):
        sheet.update([["far"]], "A5000")
