"""What the calls of foreign clients work on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gspread
import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery
from requests.adapters import HTTPAdapter

from tests.emulator.emulator_driver import PARENT, Driver, RevisionPair, who, zipped

Given = Any
"""What a client gives; the libraries have no types for it."""
NAME = f"{PARENT}/functions/foreign"


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


Call = tuple[str, Callable[["Stage"], Given]]
"""A name, and what is true if the call ends as on Google."""
DifferentCall = tuple[str, str, Callable[["Stage"], Given]]
"""A name, how it differs, and the call that is refused."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the calls work on: a public function ``foreign`` with two revisions, and a new spreadsheet for each."""

    driver: Driver
    pair: RevisionPair
    _opened: list[Given] = field(default_factory=list)

    @property
    def service(self) -> str:
        """Name of the service."""
        return self.pair.service.name

    def api(self, name: str, version: str) -> Given:
        """A service of google-api-python-client, from the documents that it brings."""
        service = discovery.build(
            name,
            version,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=self.driver.cloud.endpoint),
            static_discovery=True,
        )
        self._opened.append(service)
        return service

    @property
    def functions(self) -> Given:
        """The methods of ``projects.locations``, Cloud Functions v2."""
        return self.api("cloudfunctions", "v2").projects().locations()

    @property
    def run(self) -> Given:
        """The methods of ``projects.locations``, Cloud Run v2."""
        return self.api("run", "v2").projects().locations()

    @property
    def sheets(self) -> Given:
        """The methods of ``spreadsheets``."""
        return self.api("sheets", "v4").spreadsheets()

    def new_sheet(self) -> Given:
        """Identity of a spreadsheet with two rows of two cells."""
        sheets = self.sheets
        made = sheets.create(body={"properties": {"title": "T"}}).execute()["spreadsheetId"]
        values = {"values": [["a", "1/2/2025"], ["b", "$3.50"]]}
        sheets.values().update(
            spreadsheetId=made, range="Sheet1!A1", valueInputOption="USER_ENTERED", body=values
        ).execute()
        return made

    @property
    def gspread(self) -> Given:
        """A client of gspread."""
        session = requests.Session()
        for place in ("https://sheets.googleapis.com/", "https://www.googleapis.com/"):
            session.mount(place, ToEmulator(self.driver.cloud.endpoint))
        self._opened.append(session)
        return gspread.Client(auth=None, session=session)  # type: ignore[arg-type, unused-ignore]  # unused where gspread is not installed

    def book(self) -> Given:
        """A spreadsheet of gspread with a header, three rows and three columns."""
        book = self.gspread.create("A new spreadsheet")
        rows = [["name", "count", "note"], ["p", 1, "x"], ["q", 2, "y"], ["p", 3, "z"]]
        book.sheet1.update(rows, "A1")
        return book

    def build(self) -> Given:
        """``buildConfig`` of a source that was just uploaded."""
        place = self.functions.functions().generateUploadUrl(parent=PARENT, body={}).execute()
        head = {"content-type": "application/zip"}
        archive = zipped(main_py=who())
        self.driver.http.put(place["uploadUrl"], data=archive, headers=head, timeout=20)
        source = {"storageSource": place["storageSource"]}
        return {"runtime": "python311", "entryPoint": "hello", "source": source}

    def wait(self, operation: Given) -> Given:
        """What an operation of google-api-python-client came to."""
        wait = self.run.operations().wait(name=operation["name"], body={"timeout": "60s"})
        return wait.execute()["response"]

    def close(self) -> None:
        """Close what was opened."""
        for opened in self._opened:
            opened.close()


def raises(error: type[Exception], act: Callable[[], object]) -> bool:
    """Whether ``act`` ends with that error."""
    try:
        act()
    except error:
        return True
    return False
