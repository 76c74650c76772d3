"""A session that touches a target: takes the inventory, drives the flow, and settles it at session end."""

import contextlib
import logging
import time
from collections.abc import Generator

import pytest

from pytest_deploygate.collection.inventory import Gates
from pytest_deploygate.collection.source_scan import silent_passes
from pytest_deploygate.core.errors import ConfigError, DeployGateError, ExitStatus
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.reporting.junit import JUnit, properties
from pytest_deploygate.reporting.session_result import Ending
from pytest_deploygate.runners.in_process import ProcessExit, staying_alive
from pytest_deploygate.session.context import Desk
from pytest_deploygate.session.flows.base import Flow
from pytest_deploygate.session.flows.deploy_flow import DeployFlow
from pytest_deploygate.session.flows.plan_flow import PlanFlow
from pytest_deploygate.session.flows.verify_flow import JudgeFlow
from pytest_deploygate.session.result import ending_for
from pytest_deploygate.state_keys import DECIDED, Mode

logger = logging.getLogger(__name__)


_PYTESTS_OWN = (2, 3, 4, 6)
"""Exit statuses that are left to pytest; any other one may be what a test gave to ``pytest.exit``.

5, no tests, is none of them: of a deployment it is a refusal that has its own reason.
"""


def flow_for(desk: Desk) -> Flow:
    """The flow of the session's mode."""
    match desk.options.mode:
        case Mode.DEPLOY:
            return DeployFlow(desk)
        case Mode.PLAN:
            return PlanFlow(desk)
        case Mode.ROLLBACK_CHECKS:
            return JudgeFlow(desk, phases=(Phase.LIVE,), may_act=True)
        case _:
            return JudgeFlow(
                desk, phases=(Phase.READINESS, Phase.CANDIDATE, Phase.LIVE), may_act=False
            )


def never_ran(desk: Desk) -> Ending:
    """How a session ends in which pytest never came to run a check."""
    doubts = desk.recorder.doubts
    sentence = doubts[0] if doubts else "the session ended before any check could run"
    return Ending(
        verdict="REFUSE",
        state="REFUSED",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=ExitStatus.NOT_PROMOTED,
    )


def _pending(sentence: str) -> Ending:
    return Ending(
        verdict="PENDING",
        state="PENDING",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=None,
    )


class Controller:
    """Hooks of the deciding process; registered only when the session touches a target."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._flow = flow_for(desk)
        self._junit = JUnit(desk.config)
        desk.recorder.crashed = self._junit.name_crashed
        self._began = time.monotonic()
        self._ending: Ending | None = None
        self._has_started = False
        self._has_run = False
        self._stack = contextlib.ExitStack()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Before anything is touched: the JUnit file can be written, and no signal ends pytest without a verdict."""
        try:
            self._junit.check_writable()
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        self._has_started = True
        self._desk.signals.install()
        self._stack.enter_context(staying_alive())

    # -- collection ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None]:
        """Fix the inventory before anybody can take a check out of it, and see who did."""
        gates = Gates(self._desk.settings.policy, self._desk.settings.root)
        checks = [check for check in map(gates.check, items) if check is not None]
        self._desk.recorder.take_inventory(checks)
        yield
        left = {item.nodeid for item in items}
        for check in checks:
            if check.phase in self._desk.phases and check.nodeid not in left:
                self._desk.recorder.doubt(
                    f"{check.nodeid} was taken out of the run after collection"
                )
        gated = {check.nodeid for check in checks}
        others = [item for item in items if item.nodeid not in gated]
        if others:
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item.nodeid in gated]

    # -- running ---------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the phases instead of pytest's own loop."""
        if session.config.getoption("collectonly", False):
            return None
        self._has_run = True
        with self._desk.signals.heard():
            self._run(session)
        return True

    def _run(self, session: pytest.Session) -> None:
        desk = self._desk
        self._junit.write_now(self._properties(_pending("the session died before it decided")))
        desk.runner.collect(session)
        for sentence in silent_passes(desk.settings.root, desk.recorder.files):
            desk.recorder.doubt(sentence)
        is_deploy = desk.options.mode is Mode.DEPLOY
        if session.testsfailed or (is_deploy and desk.recorder.doubts):
            why = "; ".join(desk.recorder.doubts[:3]) or "collection failed"
            reason = Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=why)
            self._ending = Ending(
                verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.NOT_PROMOTED
            )
            desk.skip_rest(reason)
            return
        self._flow.run(session)

    # -- session end -----------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Settle the rollout before other plugins write their files, and have the last word on the exit status."""
        if session.config.getoption("collectonly", False):
            return (yield)
        with self._desk.signals.shield():
            try:
                self._settle(session, int(exitstatus))
            except BaseException:
                logger.exception("rollout.settle_failed")
                self._ending = self._broken()
            try:
                yield
            except (Exception, ProcessExit):
                # a terminal that is gone, a file that cannot be written: what became of traffic stays true
                logger.exception("session.finish_failed")
            finally:
                self._show()
                session.exitstatus = self._status(int(session.exitstatus))
                session.config.stash[DECIDED] = True

    def _settle(self, session: pytest.Session, exitstatus: int) -> None:
        desk = self._desk
        is_complete = (
            exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            and not session.shouldstop
            and not session.shouldfail
        )
        if is_complete and self._has_run:
            desk.runner.stop()  # what workers say while they end still counts
        if session.shouldstop or session.shouldfail:
            desk.recorder.doubt(
                f"the session was stopped: {session.shouldstop or session.shouldfail}"
            )
        self._junit.write_now(self._properties(_pending("the session died while it acted")))
        if self._ending is None and not self._has_run:
            self._ending = never_ran(desk)
        if self._ending is None:
            try:
                self._ending = self._flow.settle(is_complete=is_complete)
            except DeployGateError as error:
                self._ending = ending_for(error)
        if not is_complete:
            desk.runner.stop()  # after the way back: serving the baseline does not wait for a worker to end
        self._junit.set_properties(self._properties(self._ending))
        try:
            desk.skip_rest(self._ending.reason)
        except Exception:  # a terminal that is gone: all is decided and recorded
            logger.exception("session.report_failed")

    def _broken(self) -> Ending:
        """Nobody knows how far settling came; a session that only judges cannot have touched anything."""
        sentence = "settling failed with an internal error (see the log)"
        if self._desk.options.mode not in (Mode.DEPLOY, Mode.ROLLBACK_CHECKS):
            reason = Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence)
            return Ending(
                verdict="UNKNOWN", state="JUDGED", reason=reason, status=ExitStatus.COULD_NOT_ACT
            )
        return Ending(
            verdict="ROLL_BACK",
            state="STRANDED",
            reason=Reason(code=ReasonCode.ROLLBACK_UNVERIFIED, sentence=sentence),
            status=ExitStatus.STRANDED,
            lines=(f"a person must look: deploygate recover {self._desk.environment.name}",),
        )

    def _properties(self, ending: Ending) -> dict[str, str]:
        notes = {f"deploygate.{name}": text for name, text in self._desk.notes.items()}
        return notes | properties(self._desk.environment.name, self._desk.verdicts, ending)

    def _status(self, theirs: int) -> int:
        ending = self._ending
        if ending is None or ending.status is None:
            return theirs
        is_theirs_plain = theirs in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if ending.status in (ExitStatus.STRANDED, ExitStatus.COULD_NOT_ACT, ExitStatus.USAGE):
            return int(ending.status)
        if is_theirs_plain or (ending.status is ExitStatus.PROMOTED and ending.state == "PROMOTED"):
            return int(ending.status)
        return theirs if theirs in _PYTESTS_OWN else int(ending.status)

    # -- what people see -------------------------------------------------------------------------

    def pytest_report_header(self) -> str:
        """Which environment, in which mode."""
        return f"deploygate: {self._desk.options.mode.value} {self._desk.environment.name}"

    def pytest_terminal_summary(self) -> None:
        """The table and the verdict."""
        self._show()

    def _show(self) -> None:
        if self._ending is not None:
            seconds = time.monotonic() - self._began
            self._desk.terminal.summary(self._desk.verdicts, self._ending, seconds)

    def pytest_unconfigure(self) -> None:
        """Give the signals back, and let the process end as it likes.

        A session that broke as it started never came to its finish, but CI is told all the same.
        """
        if self._has_started and not self._desk.config.stash.get(DECIDED, False):
            self._junit.write_now(self._properties(never_ran(self._desk)))
        self._stack.close()
        with contextlib.suppress(ConfigError):
            self._desk.signals.remove()
