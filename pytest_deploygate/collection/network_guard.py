"""No network while checks are collected: a module of a suite that does I/O when it is imported is an error.

Test rows once came into a production sheet because a script wrote them when pytest imported it. Refused is whatever
Python's audit events show: connections, datagrams, look-ups of names. Sockets of this machine's file system are let be.
"""

import socket
import sys
from collections.abc import Generator
from typing import Final

import pytest

from pytest_deploygate.core.errors import DeployGateError

_EVENTS: Final = frozenset(
    {
        *("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    }
)
"""Names in Python's table of audit events."""


class NetworkRefused(DeployGateError):
    """Something reached for the network while checks were collected; nothing was sent."""


class NetworkGuard:
    """Refuses the network in this process as long as a collector is at work."""

    def __init__(self) -> None:
        self._collecting: list[object] = []
        """Something for each collector that is at work."""
        # variables of their own, as they are asked some twenty times a check
        collecting, events = self._collecting, _EVENTS

        def hear(event: str, args: tuple[object, ...]) -> None:
            if collecting and event in events:
                _refuse(event, args)

        # Python asks for this attribute at each event: to find that there is none costs more than the hook
        hear.__cantrace__ = False  # type: ignore[attr-defined]  # functions may have any
        sys.addaudithook(hear)  # it stays until the process ends

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Around each collector: directories with their conftest files, modules, classes."""
        self._collecting.append(None)
        try:
            return (yield)
        finally:
            self._collecting.pop()


def _refuse(event: str, args: tuple[object, ...]) -> None:
    first = args[0] if args else None
    if isinstance(first, socket.socket):
        if first.family == socket.AF_UNIX:
            return
        first = args[1] if len(args) > 1 else first
    raise NetworkRefused(
        f"{event} {first!r} while checks were collected: importing a module of a suite may not use the network",
        hint="do it in a fixture or in the check itself",
    )
