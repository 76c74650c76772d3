"""Running the checks of one phase in this process, and reporting those of a phase that does not run.

Each phase ends with all its fixtures torn down, since its last item has no next one. Only public parts of pytest
are used.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import Final, NoReturn

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.collection.inventory import Check
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.judge.evidence_ledger import EvidenceCollector
from pytest_deploygate.state_keys import DEPLOYMENT, GATE_PROPERTY

_AGAIN_S: Final = 2.0
"""Time between two attempts to interrupt what runs over a phase's budget."""


class ProcessExit(BaseException):
    """Raised where ``os._exit`` is called before the verdict is decided, instead of ending the process."""


@contextlib.contextmanager
def staying_alive() -> Iterator[None]:
    """Let ``os._exit`` fail what calls it, in this process; children that were forked may use it."""
    leave, me = os._exit, os.getpid()

    def stay(status: int) -> NoReturn:
        if os.getpid() != me:
            leave(status)
        raise ProcessExit(f"os._exit({status}) before the verdict was decided")

    os._exit = stay
    try:
        yield
    finally:
        os._exit = leave


class BudgetExceeded(BaseException):
    """Raised into whatever runs when the time of a phase is up; not an Exception, so that no check swallows it."""


class Budget:
    """Ends a phase that takes longer than ``seconds``: raises :class:`BudgetExceeded` in the main thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_exceeded = False
        self._over = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch the time while the block runs. Works in the main thread; elsewhere it watches nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGUSR2, self._raise)
        watch = threading.Thread(target=self._watch, name="deploygate-budget", daemon=True)
        watch.start()
        try:
            yield
        finally:
            self._over.set()  # from here on the signal raises nothing, and once the thread is gone none comes
            watch.join()
            signal.signal(signal.SIGUSR2, previous)

    def _watch(self) -> None:
        """Interrupt again and again: the code that runs may swallow everything once."""
        wait_s = self.seconds
        while not self._over.wait(wait_s):
            self.is_exceeded = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
            wait_s = _AGAIN_S

    def _raise(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if self._over.is_set():
            return
        raise BudgetExceeded(f"the phase took longer than its budget of {self.seconds:g} s")


def run_items(session: pytest.Session, items: Sequence[pytest.Item], budget: Budget) -> None:
    """Run ``items`` and tear all their fixtures down; ends early when the budget is spent.

    Raises:
        pytest.Session.Failed, pytest.Session.Interrupted: as pytest's own loop does.
    """
    with contextlib.suppress(BudgetExceeded), budget.running():
        for index, item in enumerate(items):
            nextitem = items[index + 1] if index + 1 < len(items) else None
            if budget.is_exceeded:
                nextitem = None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            if budget.is_exceeded:
                return


def report_not_run(
    config: pytest.Config, checks: Iterable[Check], reason: str, recorder: EvidenceCollector
) -> None:
    """Report checks that did not run, or not to their end, as skipped, at their own place, without any fixture."""
    for check in checks:
        worker = recorder.worker_of(check)
        config.hook.pytest_runtest_logstart(nodeid=check.nodeid, location=check.location)
        for when in ("setup", "teardown"):
            report = _skip_report(check, when, reason)
            if worker is not None:
                report.node = worker  # type: ignore[attr-defined]  # so that it joins what the worker began
            config.hook.pytest_runtest_logreport(report=report)
        config.hook.pytest_runtest_logfinish(nodeid=check.nodeid, location=check.location)


def _skip_report(check: Check, when: str, reason: str) -> pytest.TestReport:
    path, line, _ = check.location
    is_setup = when == "setup"
    return pytest.TestReport(
        nodeid=check.nodeid,
        location=check.location,
        keywords={},
        outcome="skipped" if is_setup else "passed",
        longrepr=(path, (line or 0) + 1, f"Skipped: {reason}") if is_setup else None,
        when="setup" if is_setup else "teardown",
        user_properties=[(GATE_PROPERTY, check.gate)],
    )


class InProcessRunner:
    """Runs items of this session's own collection."""

    def __init__(self, config: pytest.Config, recorder: EvidenceCollector) -> None:
        self._config = config
        self._recorder = recorder
        self._items: list[tuple[str, pytest.Item]] = []

    def collect(self, session: pytest.Session) -> None:
        """Nothing to do: pytest has collected."""

    def run(
        self, session: pytest.Session, phase: Phase, deployment: Deployment, budget: Budget
    ) -> None:
        """Run the phase's items in the order of collection."""
        if not self._items:
            self._items = [(item.nodeid, item) for item in session.items]
        wanted = {check.nodeid for check in self._recorder.checks_of(phase)}
        self._config.stash[DEPLOYMENT] = deployment
        run_items(session, [item for nodeid, item in self._items if nodeid in wanted], budget)

    def stop(self) -> None:
        """Nothing to do: checks run in this process, and it is here."""
