"""Which stand-in services there are."""

from pytest_deploygate.emulator.services.service_interface import ServiceContext, StandInService
from pytest_deploygate.emulator.services.sheets.service import SheetsService

SERVICES: tuple[type[StandInService], ...] = (SheetsService,)
FAULT_PATHS = {service.name: service.fault_paths for service in SERVICES}
"""By the name of a service: the paths that a fault rule for it is for."""


def open_services(context: ServiceContext) -> list[StandInService]:
    """All of them, ready to answer."""
    return [service(context) for service in SERVICES]
