"""The Sheets v4 API as a stand-in service: a process of its own has all that it keeps."""

from collections.abc import Mapping

from aiohttp import web

from pytest_deploygate.emulator.services.service_interface import ServiceContext, StandInService
from pytest_deploygate.emulator.services.service_process import ServiceProcess
from pytest_deploygate.emulator.services.sheets import urls

_FILE = "sheets.sqlite3"
_PROCESS = "pytest_deploygate.emulator.services.sheets.sheets_process"


class SheetsService(StandInService):
    """Spreadsheets in ``sheets.sqlite3`` of the home."""

    name = "sheets"
    fault_paths = "^/v4/spreadsheets|^/drive/v3/files"

    def __init__(self, context: ServiceContext) -> None:
        tabs = "create-tabs" if context.settings.create_tabs else "refuse-tabs"
        self._process = ServiceProcess(_PROCESS, str(context.home / _FILE), tabs)

    def routes(self) -> list[web.RouteDef]:
        """Those of :mod:`urls`, each answered by the process."""
        return [
            web.route(method, path, self._process.handler(act))
            for act, (method, path, _) in enumerate(urls.URLS)
        ]

    def variables(self, base_url: str) -> Mapping[str, str]:
        """Google's clients take the URL as ``api_endpoint``."""
        return {"GOOGLE_SHEETS_API_ENDPOINT": base_url}

    async def close(self) -> None:
        """End the process."""
        await self._process.close()
