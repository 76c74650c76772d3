"""What was collected and what was reported: the facts from which evidence is made. Judges nothing."""

import contextlib
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator

import pytest

from pytest_deploygate.collection.inventory import Check
from pytest_deploygate.core.evidence import (
    CheckState,
    Evidence,
    Measurement,
    ReportFact,
    ReportOutcome,
    fold,
)
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.state_keys import MEASURE_PROPERTY, STATE_PROPERTY

_SUBTEST_REPORTS = ("SubtestReport", "SubTestReport")
"""Class names in pytest 9 and in pytest-subtests for pytest 8."""


class EvidenceCollector:
    """Collects facts about the checks of a policy's gates; also a pytest plugin, for its report hooks.

    ``mismatch`` says where a report looks better than what this process saw happen; None where workers run checks.
    """

    def __init__(
        self, policy: Policy, mismatch: Callable[[pytest.TestReport, str], str] | None = None
    ) -> None:
        self._policy = policy
        self._contradiction = mismatch
        self._falsified: set[str] = set()
        self._states: dict[str, CheckState] = {}
        """What reports were folded to; forgotten with every new one."""
        self.crashed: Callable[[pytest.TestReport, str], None] | None = None
        """Hears of a report that pytest-xdist makes of a check whose worker died, and the gate of the check."""
        self._checks: dict[str, Check] = {}
        self._of_phase: dict[Phase, list[Check]] = {phase: [] for phase in Phase}
        self._facts: defaultdict[str, list[ReportFact]] = defaultdict(list)
        self._measured: defaultdict[str, list[Measurement]] = defaultdict(list)
        self._doubts: dict[str, None] = {}
        self._of_platform: dict[Phase, tuple[Measurement, ...]] = {}
        self._is_muted = False
        self._workers: dict[str, object] = {}
        self._announced: set[str] = set()
        """Checks that were reported as not run."""

    # -- inventory -------------------------------------------------------------------------------

    def take_inventory(self, checks: Iterable[Check]) -> None:
        """Fix the checks that will be counted; a check that is listed twice is a doubt."""
        for check in checks:
            if check.nodeid in self._checks:
                self.mark_incomplete(f"{check.nodeid} was collected twice")
            else:
                self._of_phase[check.phase].append(check)
            self._checks[check.nodeid] = check

    def checks_of(self, phase: Phase) -> tuple[Check, ...]:
        """Checks of a phase in the order of collection."""
        return tuple(self._of_phase[phase])

    @property
    def inventory(self) -> dict[str, tuple[str, ...]]:
        """Check ids of every gate of the policy, also of empty ones."""
        return {
            gate.name: tuple(c.nodeid for c in self._checks.values() if c.gate == gate.name)
            for gate in self._policy.gates
        }

    def worker_of(self, check: Check) -> object | None:
        """What pytest-xdist put into the last report of a check to tell workers apart; None in one process."""
        return self._workers.get(check.nodeid)

    @property
    def files(self) -> tuple[str, ...]:
        """Files that the checks are written in, relative to pytest's root directory, each once.

        Their locations may name other files: compiled ones remember where they were before they were moved.
        """
        return tuple(dict.fromkeys(nodeid.partition("::")[0] for nodeid in self._checks))

    def not_run(self, phase: Phase) -> tuple[Check, ...]:
        """Checks of a phase that did not run to their end, and of which that was not said yet."""
        return tuple(
            c
            for c in self.checks_of(phase)
            if c.nodeid not in self._announced and self._state_of(c.nodeid) is CheckState.NOT_RUN
        )

    def _state_of(self, nodeid: str) -> CheckState:
        if nodeid in self._falsified:
            return CheckState.FAILED
        state = self._states.get(nodeid)
        if state is None:
            state = self._states[nodeid] = fold(self._facts.get(nodeid, ()))
        return state

    @contextlib.contextmanager
    def muted(self) -> Iterator[None]:
        """Reports made while the block runs are for people only: those checks did not run."""
        self._is_muted = True
        try:
            yield
        finally:
            self._is_muted = False

    # -- doubts ----------------------------------------------------------------------------------

    def mark_incomplete(self, sentence: str) -> None:
        """Note something that makes the evidence of the whole session incomplete."""
        self._doubts[sentence] = None

    def mark_tampered(self, nodeid: str, sentence: str) -> None:
        """Note that something made a check look better than it was: neither it nor this session is to be trusted."""
        self._falsified.add(nodeid)
        self.mark_incomplete(sentence)

    @property
    def doubts(self) -> tuple[str, ...]:
        """All doubts, oldest first."""
        return tuple(self._doubts)

    # -- evidence --------------------------------------------------------------------------------

    def set_measurements(self, phase: Phase, measurements: Iterable[Measurement]) -> None:
        """Take what the platform itself measured for ``phase``, instead of what it said before."""
        self._of_platform[phase] = tuple(measurements)

    def evidence(self, phase: Phase) -> Evidence:
        """The evidence of one phase as it stands now."""
        checks = {
            gate.name: tuple(
                (c.nodeid, self._state_of(c.nodeid))
                for c in self.checks_of(phase)
                if c.gate == gate.name
            )
            for gate in self._policy.gates_of(phase)
        }
        measured = [m for c in self.checks_of(phase) for m in self._measured[c.nodeid]]
        return Evidence(
            phase=phase,
            checks=checks,
            measurements=(*measured, *self._of_platform.get(phase, ())),
            doubts=self.doubts,
        )

    # -- hooks -----------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Note one report before any other hook can change it; those of other tests are passed over."""
        nodeid = report.nodeid  # made anew whenever it is asked for
        if self._is_muted:
            self._announced.add(nodeid)
            _add_state(report, CheckState.NOT_RUN)
        elif nodeid in self._checks:
            self._note(report, nodeid)
        yield

    def _note(self, report: pytest.TestReport, nodeid: str) -> None:
        if self._contradiction is not None and (sentence := self._contradiction(report, nodeid)):
            self.mark_tampered(nodeid, sentence)
        when = str(report.when)
        self._workers[nodeid] = getattr(report, "node", None)
        is_subtest = type(report).__name__ in _SUBTEST_REPORTS
        fact = _fact(when, report.outcome, hasattr(report, "wasxfail"), is_subtest)
        self._facts[nodeid].append(fact)
        self._states.pop(nodeid, None)
        if when == "teardown" and not is_subtest:
            self._note_measurements(report, nodeid)
            _add_state(report, self._state_of(nodeid))
        elif self.crashed is not None and when not in ("setup", "call", "teardown"):
            self.crashed(report, self._checks[nodeid].gate)

    def _note_measurements(self, report: pytest.TestReport, nodeid: str) -> None:
        for name, value in report.user_properties:
            if name == MEASURE_PROPERTY:
                measured = json.loads(str(value))
                self._measured[nodeid].append(
                    Measurement.of(
                        measured["name"],
                        measured["value"],
                        unit=measured["unit"],
                        check=nodeid,
                    )
                )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that could not be collected, or skipped itself, may have held any number of checks."""
        if report.failed:
            self.mark_incomplete(f"{report.nodeid or 'the session'} could not be collected")
        elif report.skipped:
            self.mark_incomplete(f"{report.nodeid} skipped itself as a whole")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The session ended before its time."""
        self.mark_incomplete(
            f"the session was interrupted: {excinfo.typename}: {excinfo.value}".rstrip(": ")
        )

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Something in pytest or in a plugin broke."""
        first, *_ = str(excinfo.value).splitlines() or [""]
        self.mark_incomplete(f"internal error: {excinfo.typename}: {first}".rstrip(": "))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object | None) -> None:
        """A worker of pytest-xdist ended in a way that may have lost reports."""
        if error is not None:
            gateway = getattr(node, "gateway", None)
            self.mark_incomplete(f"worker {getattr(gateway, 'id', '?')} died: {error}")


@functools.lru_cache(maxsize=64)
def _fact(when: str, outcome: str, is_xfail: bool, is_subtest: bool) -> ReportFact:
    return ReportFact(
        when=when, outcome=ReportOutcome(outcome), is_xfail=is_xfail, is_subtest=is_subtest
    )


def _add_state(report: pytest.TestReport, state: CheckState) -> None:
    """Name the state for the JUnit file, which shows some as plain passes; it reads at teardown."""
    if report.when == "teardown":
        report.user_properties.append((STATE_PROPERTY, state.value))
