"""Running the checks of one phase in this process, and reporting those of a phase that does not run.

Each phase ends with all its fixtures torn down, since its last item has no next one. Only public parts of pytest
are used.
"""

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import Final, TypeAlias

import pytest

from pytest_deploygate.channel.orders import RunPhase
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.state_keys import AUDITOR, DEPLOYMENT

Location: TypeAlias = "tuple[str, tuple[str, int | None, str]]"
"""Node id of a check, and (file, line, name) as reports carry it."""
_AGAIN_S: Final = 2.0
"""Time between two attempts to interrupt what runs over a phase's budget."""


class BudgetExceeded(BaseException):
    """Raised into whatever runs when the time of a phase is up; not an Exception, so that no check swallows it."""


class Budget:
    """Ends a phase that takes longer than ``seconds``: raises :class:`BudgetExceeded` in the main thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_exceeded = False
        self._over = threading.Event()

    @contextlib.contextmanager
    def watch_time(self) -> Iterator[None]:
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

    @contextlib.contextmanager
    def suppress_interruption(self) -> Iterator[None]:
        """End the block in order when the time is up, whatever plugins make of the interruption.

        Pluggy warns of what is raised in an old wrapper, and that may be an error: ``filterwarnings = error``.
        """
        try:
            yield
        except BudgetExceeded:
            pass
        except Exception:
            if not self.is_exceeded:
                raise

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
    with budget.suppress_interruption(), budget.watch_time():
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


def report_not_run(config: pytest.Config, locations: "Iterable[Location]", reason: str) -> None:
    """Report checks that did not run, or not to their end, as skipped, at their own place, without any fixture."""
    for nodeid, location in locations:
        config.hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for when in ("setup", "teardown"):
            report = _skip_report(nodeid, location, when, reason)
            config.hook.pytest_runtest_logreport(report=report)
        config.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def _skip_report(
    nodeid: str, location: tuple[str, int | None, str], when: str, reason: str
) -> pytest.TestReport:
    path, line, _ = location
    is_setup = when == "setup"
    return pytest.TestReport(
        nodeid=nodeid,
        location=location,
        keywords={},
        outcome="skipped" if is_setup else "passed",
        longrepr=(path, (line or 0) + 1, f"Skipped: {reason}") if is_setup else None,
        when="setup" if is_setup else "teardown",
    )


class InProcessRunner:
    """Runs items of this session's own collection."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._items: list[tuple[str, pytest.Item]] = []

    def collect(self, session: pytest.Session) -> None:
        """Nothing to do: pytest has collected."""

    def run(self, session: pytest.Session, order: RunPhase, budget: Budget) -> None:
        """Run the phase's items in the order of collection."""
        if not self._items:
            self._items = [(item.nodeid, item) for item in session.items]
        wanted = set(order.checks)
        self._config.stash[DEPLOYMENT] = Deployment.from_json(
            order.deployment, counter=self._config.stash[AUDITOR].counter
        )
        run_items(session, [item for nodeid, item in self._items if nodeid in wanted], budget)

    def stop(self, *, at_once: bool) -> None:
        """Nothing to do: checks run in this process, and it is here."""
