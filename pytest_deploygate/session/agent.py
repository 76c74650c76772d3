"""The session's side of the conversation with the judge: collects, runs what it is told, and ends when it is told."""

import contextlib
from collections.abc import Callable, Generator
from typing import Final, Protocol, assert_never

import pytest

from pytest_deploygate.channel.client import JudgeGone, JudgeLink
from pytest_deploygate.channel.messages import (
    Bye,
    CollectionDone,
    Done,
    Doubt,
    Opinion,
    PhaseDone,
    SessionEnding,
)
from pytest_deploygate.channel.orders import (
    Decide,
    EndChecks,
    Finish,
    Order,
    RunPhase,
    SkipChecks,
    TellFinished,
    TellVerdict,
)
from pytest_deploygate.collection.check_collector import CheckCollector
from pytest_deploygate.collection.collected_mistakes import collection_error
from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.runners.in_process import Budget, report_not_run
from pytest_deploygate.state_keys import IS_TERSE
from pytest_deploygate.system.signal_guard import SignalGuard

_INTERRUPTED: Final = "it was interrupted"


class PhaseRunner(Protocol):
    """Runs the checks of one phase, in this process or in workers."""

    def collect(self, session: pytest.Session) -> None:
        """Wait until all checks are collected."""
        ...

    def run(self, session: pytest.Session, order: RunPhase, budget: Budget) -> None:
        """Run the checks of ``order``, and tear all fixtures down."""
        ...

    def stop(self, *, at_once: bool) -> None:
        """Nothing of a check may run any more when this returns; ``at_once`` interrupts what runs."""
        ...


class Agent:
    """Hooks of the session's first process; registered only when the session touches a target."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        link: JudgeLink,
        auditor: OutcomeAuditor,
        collector: CheckCollector | None,
        runner: PhaseRunner,
    ) -> None:
        self._config = config
        self._settings = settings
        self._link = link
        self._auditor = auditor
        self._collector = collector
        self._runner = runner
        self._signals = SignalGuard()
        self._items: list[pytest.Item] = []
        self._is_finished = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Let a signal interrupt this session, also where the shell had it ignored."""
        self._signals.install()

    # -- collection ------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None]:
        """Fix the inventory before anybody can take a check out of it, and see who did."""
        if self._collector is None:
            return (yield)
        self._collector.note(items)
        yield
        self._collector.compare(items)
        checks = self._collector.checks_among(items)
        if len(checks) < len(items):
            kept = set(map(id, checks))
            others = [item for item in items if id(item) not in kept]
            config.hook.pytest_deselected(items=others)
            items[:] = checks
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that could not be collected, or skipped itself, may have held any number of checks."""
        if report.failed:
            self._doubt(collection_error(report))
            if self._collector is not None:
                self._collector.note_error(report)
        elif report.skipped:
            self._doubt(f"{report.nodeid} skipped itself as a whole")

    # -- running ---------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run what the judge orders instead of pytest's own loop."""
        if session.config.getoption("collectonly", False):
            return None
        with self._signals.deliver_signals():
            self._runner.collect(session)
            if self._collector is not None:
                self._collector.send()
                self._items = list(session.items)
            self._note_actors()
            self._link.send(CollectionDone(session.testsfailed))
            self._serve(session)
        return True

    def _serve(self, session: pytest.Session) -> None:
        while not self._is_finished:
            self._carry_out(session, self._link.receive())  # type: ignore[arg-type]  # the judge sends nothing else

    def _carry_out(self, session: pytest.Session, order: Order) -> None:
        match order:
            case RunPhase():
                with self._signals.deliver_signals():
                    self._runner.run(session, order, Budget(order.budget_s))
                self._end_line()
                self._link.send(PhaseDone(order.phase.value))
            case Decide():
                opinion = Opinion(False, False, (), _INTERRUPTED)
                try:
                    opinion = self._opinion(order)
                finally:
                    self._link.send(opinion)
            case TellVerdict(record=record, verdict=verdict):
                hook = self._config.hook.pytest_deploygate_verdict
                self._tell(lambda: hook(config=self._config, rollout=record, verdict=verdict))
            case TellFinished(record=record):
                hook = self._config.hook.pytest_deploygate_finished
                self._tell(lambda: hook(config=self._config, rollout=record))
            case EndChecks():
                self._runner.stop(at_once=bool(self._signals.received))
                self._link.send(Done(""))
            case SkipChecks(checks=checks, reason=reason):
                self._tell(lambda: self._skip(checks, reason))
            case Finish():
                self._is_finished = True
            case _:
                assert_never(order)

    def _opinion(self, order: Decide) -> Opinion:
        """What the project's own decision is, if it has one."""
        try:
            verdict = self._config.hook.pytest_deploygate_decide(
                config=self._config, policy=self._settings.policy, evidence=order.evidence
            )
            if verdict is None:
                return Opinion(False, False, (), "")
            reasons = tuple((r.code.value, r.sentence) for r in verdict.reasons)
            return Opinion(True, bool(verdict.holds), reasons, "")
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # any  # noqa: BLE001
            return Opinion(False, False, (), f"{type(error).__name__}: {error}")

    def _tell(self, call: Callable[[], object]) -> None:
        """Do what the judge waits for, and say what went wrong with it, also if a signal ends this session."""
        note = _INTERRUPTED
        try:
            call()
            note = ""
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # any  # noqa: BLE001
            note = f"{type(error).__name__}: {error}"
        finally:
            self._link.send(Done(note))

    def _skip(self, checks: tuple[str, ...], reason: str) -> None:
        self._auditor.is_muted = True
        unknown = ("", 0, "")
        known = {item.nodeid: item.location for item in self._items}
        located = [
            (nodeid, known.get(nodeid, (nodeid.partition("::")[0], *unknown[1:])))
            for nodeid in checks
        ]
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            report_not_run(self._config, located, reason)
        self._auditor.is_muted = False
        self._end_line()

    def _end_line(self) -> None:
        """The judge speaks next, on a line of its own; with ``-q`` it does so only if a gate did not pass."""
        if self._config.stash.get(IS_TERSE, False):
            return
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            with contextlib.suppress(OSError, ValueError):
                # under xdist the letters of finished checks leave a line open that only the writer knows of
                if reporter._tw.width_of_current_line:  # noqa: SLF001
                    reporter.write("\n")
                    reporter.currentfspath = None
                reporter.flush()

    def _note_actors(self) -> None:
        """Whoever wants to act from a conftest file is told that nobody calls it."""
        for found in self._config.hook.pytest_deploygate_act.get_hookimpls():
            where = getattr(found.plugin, "__file__", None) or found.plugin_name
            text = (
                f"deploygate: note: pytest_deploygate_act of {where} is not called: another process acts; "
                "name an installed module in tool.deploygate.plugins"
            )
            reporter = self._config.pluginmanager.get_plugin("terminalreporter")
            if isinstance(reporter, pytest.TerminalReporter):
                reporter.write_line(text, yellow=True)

    # -- the end ---------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None]:
        """Where the session ends by itself, let the judge conclude before other plugins write their files."""
        if not (self._is_finished or session.config.getoption("collectonly", False)):
            why = session.shouldstop or session.shouldfail
            sentence = f"the session was stopped: {why}" if why else ""
            with contextlib.suppress(JudgeGone):
                self._link.send(SessionEnding(int(exitstatus), sentence))
                with self._signals.shield():
                    self._serve(session)
        return (yield)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """The session ended before its time."""
        what = f"{excinfo.typename}: {excinfo.value}".rstrip(": ")
        self._doubt(f"the session was interrupted: {what}")

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Something in pytest or in a plugin broke."""
        first, *_ = str(excinfo.value).splitlines() or [""]
        self._doubt(f"internal error: {excinfo.typename}: {first}".rstrip(": "))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object | None) -> None:
        """A worker of pytest-xdist ended in a way that may have lost something."""
        if error is not None:
            gateway = getattr(node, "gateway", None)
            self._doubt(f"worker {getattr(gateway, 'id', '?')} died: {error}")

    def pytest_unconfigure(self) -> None:
        """Say good-bye, and give the signals back."""
        with contextlib.suppress(JudgeGone):
            self._link.send(Bye(0))
        self._signals.remove()

    def _doubt(self, sentence: str) -> None:
        with contextlib.suppress(JudgeGone):
            self._link.send(Doubt(sentence, ""))
