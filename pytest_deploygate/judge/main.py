"""A session that touches a target: takes the inventory, drives the flow, and settles it at session end."""

import contextlib
import logging
import time
from collections.abc import Generator

import pytest

from pytest_deploygate.collection.inventory import Gates
from pytest_deploygate.core.errors import ConfigError, DeployGateError, ExitStatus
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.base import Flow
from pytest_deploygate.judge.flows.deploy_flow import DeployFlow
from pytest_deploygate.judge.flows.plan_flow import PlanFlow
from pytest_deploygate.judge.flows.verify_flow import VerifyFlow
from pytest_deploygate.judge.reporting.junit import JUnit, properties
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.result import result_of_error
from pytest_deploygate.judge.source_scan import find_vacuous_tests
from pytest_deploygate.runners.in_process import ProcessExit, staying_alive
from pytest_deploygate.state_keys import DECIDED, Mode

logger = logging.getLogger(__name__)


_PYTESTS_OWN = (2, 3, 4, 6)
"""Exit statuses that are left to pytest; any other one may be what a test gave to ``pytest.exit``.

5, no tests, is none of them: of a deployment it is a refusal that has its own reason.
"""


def flow_of(context: SessionContext) -> Flow:
    """The flow of the session's mode."""
    match context.options.mode:
        case Mode.DEPLOY:
            return DeployFlow(context)
        case Mode.PLAN:
            return PlanFlow(context)
        case Mode.ROLLBACK_CHECKS:
            return VerifyFlow(context, phases=(Phase.LIVE,), may_act=True)
        case _:
            return VerifyFlow(
                context, phases=(Phase.READINESS, Phase.CANDIDATE, Phase.LIVE), may_act=False
            )


def result_of_empty_session(context: SessionContext) -> SessionResult:
    """How a session ends in which pytest never came to run a check."""
    doubts = context.recorder.doubts
    sentence = doubts[0] if doubts else "the session ended before any check could run"
    return SessionResult(
        verdict="REFUSE",
        state="REFUSED",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=ExitStatus.FAILED,
    )


def _pending(sentence: str) -> SessionResult:
    return SessionResult(
        verdict="PENDING",
        state="PENDING",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=None,
    )


class Controller:
    """Hooks of the deciding process; registered only when the session touches a target."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._flow = flow_of(context)
        self._junit = JUnit(context.config)
        context.recorder.crashed = self._junit.name_crashed
        self._began = time.monotonic()
        self._ending: SessionResult | None = None
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
        self._context.signals.install()
        self._stack.enter_context(staying_alive())

    # -- collection ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None]:
        """Fix the inventory before anybody can take a check out of it, and see who did."""
        gates = Gates(self._context.settings.policy, self._context.settings.root)
        checks = [check for check in map(gates.check, items) if check is not None]
        self._context.recorder.take_inventory(checks)
        yield
        left = {item.nodeid for item in items}
        for check in checks:
            if check.phase in self._context.phases and check.nodeid not in left:
                self._context.recorder.mark_incomplete(
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
        with self._context.signals.heard():
            self._run(session)
        return True

    def _run(self, session: pytest.Session) -> None:
        context = self._context
        self._junit.write_now(self._properties(_pending("the session died before it decided")))
        context.runner.collect(session)
        for sentence in find_vacuous_tests(context.settings.root, context.recorder.files):
            context.recorder.mark_incomplete(sentence)
        is_deploy = context.options.mode is Mode.DEPLOY
        if session.testsfailed or (is_deploy and context.recorder.doubts):
            why = "; ".join(context.recorder.doubts[:3]) or "collection failed"
            reason = Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=why)
            self._ending = SessionResult(
                verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.FAILED
            )
            context.skip_rest(reason)
            return
        self._flow.run(session)

    # -- session end -----------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Settle the rollout before other plugins write their files, and have the last word on the exit status."""
        if session.config.getoption("collectonly", False):
            return (yield)
        with self._context.signals.shield():
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
        context = self._context
        is_complete = (
            exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            and not session.shouldstop
            and not session.shouldfail
        )
        if is_complete and self._has_run:
            context.runner.stop()  # what workers say while they end still counts
        if session.shouldstop or session.shouldfail:
            context.recorder.mark_incomplete(
                f"the session was stopped: {session.shouldstop or session.shouldfail}"
            )
        self._junit.write_now(self._properties(_pending("the session died while it acted")))
        if self._ending is None and not self._has_run:
            self._ending = result_of_empty_session(context)
        if self._ending is None:
            try:
                self._ending = self._flow.settle(is_complete=is_complete)
            except DeployGateError as error:
                self._ending = result_of_error(error)
        if not is_complete:
            context.runner.stop()  # after the way back: serving the baseline does not wait for a worker to end
        self._junit.set_properties(self._properties(self._ending))
        try:
            context.skip_rest(self._ending.reason)
        except Exception:  # a terminal that is gone: all is decided and recorded
            logger.exception("session.report_failed")

    def _broken(self) -> SessionResult:
        """Nobody knows how far settling came; a session that only judges cannot have touched anything."""
        sentence = "settling failed with an internal error (see the log)"
        if self._context.options.mode not in (Mode.DEPLOY, Mode.ROLLBACK_CHECKS):
            reason = Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence)
            return SessionResult(
                verdict="UNKNOWN", state="JUDGED", reason=reason, status=ExitStatus.COULD_NOT_ACT
            )
        return SessionResult(
            verdict="ROLL_BACK",
            state="STRANDED",
            reason=Reason(code=ReasonCode.ROLLBACK_UNVERIFIED, sentence=sentence),
            status=ExitStatus.STRANDED,
            lines=(f"a person must look: deploygate recover {self._context.environment.name}",),
        )

    def _properties(self, ending: SessionResult) -> dict[str, str]:
        notes = {f"deploygate.{name}": text for name, text in self._context.notes.items()}
        return notes | properties(self._context.environment.name, self._context.verdicts, ending)

    def _status(self, theirs: int) -> int:
        ending = self._ending
        if ending is None or ending.status is None:
            return theirs
        is_theirs_plain = theirs in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if ending.status in (ExitStatus.STRANDED, ExitStatus.COULD_NOT_ACT, ExitStatus.USAGE):
            return int(ending.status)
        if is_theirs_plain or (ending.status is ExitStatus.OK and ending.state == "PROMOTED"):
            return int(ending.status)
        return theirs if theirs in _PYTESTS_OWN else int(ending.status)

    # -- what people see -------------------------------------------------------------------------

    def pytest_report_header(self) -> str:
        """Which environment, in which mode."""
        return f"deploygate: {self._context.options.mode.value} {self._context.environment.name}"

    def pytest_terminal_summary(self) -> None:
        """The table and the verdict."""
        self._show()

    def _show(self) -> None:
        if self._ending is not None:
            seconds = time.monotonic() - self._began
            self._context.terminal.summary(self._context.verdicts, self._ending, seconds)

    def pytest_unconfigure(self) -> None:
        """Give the signals back, and let the process end as it likes.

        A session that broke as it started never came to its finish, but CI is told all the same.
        """
        if self._has_started and not self._context.config.stash.get(DECIDED, False):
            self._junit.write_now(self._properties(result_of_empty_session(self._context)))
        self._stack.close()
        with contextlib.suppress(ConfigError):
            self._context.signals.remove()
