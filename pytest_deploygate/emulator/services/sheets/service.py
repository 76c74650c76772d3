"""The Sheets v4 API as a stand-in service: one worker thread owns all that it keeps."""

from collections.abc import Mapping

from aiohttp import web

from pytest_deploygate.emulator.services.base import ServiceContext, StandInService
from pytest_deploygate.emulator.services.sheets import urls
from pytest_deploygate.emulator.services.sheets.models import SheetsStore
from pytest_deploygate.emulator.services.worker import Worker

_FILE = "sheets.sqlite3"


class SheetsService(StandInService):
    """Spreadsheets in ``sheets.sqlite3`` of the home."""

    name = "sheets"
    fault_paths = "^/v4/spreadsheets|^/drive/v3/files"

    def __init__(self, context: ServiceContext) -> None:
        self._store = SheetsStore(context.home / _FILE, create_tabs=context.settings.create_tabs)
        self._worker = Worker(self.name)

    def routes(self) -> list[web.RouteDef]:
        """Those of :mod:`urls`, each answered by the worker."""
        return [
            web.route(method, path, self._worker.handler(self._store, act))
            for method, path, act in urls.URLS
        ]

    def variables(self, base_url: str) -> Mapping[str, str]:
        """Google's clients take the URL as ``api_endpoint``."""
        return {"GOOGLE_SHEETS_API_ENDPOINT": base_url}

    def close(self) -> None:
        """End the worker and close the file."""
        self._worker.close()
        self._store.close()
