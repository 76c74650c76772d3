"""When each check ran, by the judge's own clock, for the trace of a rollout. Nothing is decided by it."""

import time
from collections.abc import Callable, Iterable, Mapping

from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.judge.check import Check
from pytest_deploygate.telemetry.spans import CheckRun


class CheckTimes:
    """Begin and end of each check; several attempts at one count as one."""

    def __init__(self) -> None:
        self._began_ns: dict[str, int] = {}
        self._ended_ns: dict[str, int] = {}

    def begin(self, nodeid: str) -> None:
        """A check begins now."""
        self._began_ns.setdefault(nodeid, time.time_ns())

    def end(self, nodeid: str) -> None:
        """A check ends now."""
        self._ended_ns[nodeid] = time.time_ns()

    def take_runs(
        self,
        checks: Iterable[Check],
        state_of: Callable[[str], CheckState],
        failures: Mapping[str, str],
    ) -> tuple[CheckRun, ...]:
        """Those of ``checks`` that began since the last call, with what they came to."""
        runs = tuple(
            CheckRun(
                nodeid=check.nodeid,
                gate=check.gate,
                state=state_of(check.nodeid),
                began_ns=began_ns,
                ended_ns=self._ended_ns.get(check.nodeid, 0),
                failure=failures.get(check.nodeid, ""),
            )
            for check in checks
            if (began_ns := self._began_ns.get(check.nodeid)) is not None
        )
        self._began_ns.clear()
        self._ended_ns.clear()
        return runs
