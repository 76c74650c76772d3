"""The interface of a stand-in service: a Google API that functions use, emulated beside Functions and Run.

Each is a folder of its own: ``models`` (what it keeps and what it may do), ``responses`` (what each call answers) and
``urls`` (which path leads to which), put together by one class that the registry names.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from pytest_deploygate.emulator.emulator_settings import EmulatorSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceContext:
    """What a service is made from."""

    home: Path
    settings: EmulatorSettings


class StandInService(ABC):
    """One Google API; a process of its own keeps its state and answers its calls (:mod:`.service_process`)."""

    name: ClassVar[str]
    """Short name, as fault rules give it: ``sheets``."""
    fault_paths: ClassVar[str]
    """Regular expression of the paths that a fault rule for this service is for."""

    @abstractmethod
    def __init__(self, context: ServiceContext) -> None:
        """Its state is below ``context.home``; nothing runs yet."""

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """All its calls, and its side endpoints below ``/_local/``."""

    @abstractmethod
    def variables(self, base_url: str) -> Mapping[str, str]:
        """Environment variables that tell a function where it is."""

    @abstractmethod
    async def close(self) -> None:
        """End the process."""
