"""The judge's whole course: from what was asked to an exit status that says what became of traffic."""

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pytest_deploygate.config.document import SessionCredentials
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.environment_selection import redactor_for, select_environment
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError, DeployGateError, ExitStatus
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.mode import Mode
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.early_checks import check_collected, check_early
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from pytest_deploygate.judge.flows.flow_selection import flow_of
from pytest_deploygate.judge.judge_hooks import JudgeHooks
from pytest_deploygate.judge.judge_telemetry import JudgeTelemetry
from pytest_deploygate.judge.options import DeployOptions, Handover, read_options
from pytest_deploygate.judge.preload import preload_libraries
from pytest_deploygate.judge.reporting.ci_services import services_of_this_job
from pytest_deploygate.judge.reporting.junit import JUnitWriter, properties
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.reporting.terminal import Terminal
from pytest_deploygate.judge.result import (
    result_of_empty_session,
    result_of_error,
    result_of_second_recovery,
    tell_server_errors,
)
from pytest_deploygate.judge.second_recovery import recover_session
from pytest_deploygate.judge.session_environment import session_variables
from pytest_deploygate.judge.session_process import (
    GRACE_S,
    SessionOver,
    SessionProcess,
    junit_text,
)
from pytest_deploygate.judge.source_scan import find_vacuous_tests
from pytest_deploygate.judge.source_watch import SourceWatch
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.parent_death import signal_with_parent
from pytest_deploygate.system.process_privacy import forbid_inspection
from pytest_deploygate.system.signal_guard import SignalGuard
from pytest_deploygate.wiring import open_store

logger = logging.getLogger(__name__)

_PYTESTS_OWN = (2, 3, 4, 6)
"""Exit statuses that are left to pytest; any other one may be what a test gave to ``pytest.exit``.

5, no tests, is none of them: of a deployment it is a refusal that has its own reason.
"""


def main(request: str) -> int:
    """Judge the session that ``request`` describes (JSON, see :class:`Handover`); the exit status."""
    handover = Handover.from_json(request)
    signals = SignalGuard()
    signals.install()
    if handover.parent:  # started beside another program: what ends that ends this, in order
        signal_with_parent(handover.parent, signal.SIGTERM)
    junit = JUnitWriter(_absolute(handover), Redactor())
    terminal = Terminal(color=handover.color, verbosity=handover.verbosity, clean=Redactor())
    try:
        options = read_options(handover)
        settings, environment = _settings_for(options, Path(handover.root))
        check_early(settings, environment, options.mode)
        junit = JUnitWriter(_absolute(handover), redactor_for(settings))
        junit.check_writable()
        hooks = JudgeHooks(settings.plugins, settings.root)
    except ConfigError as error:
        return _refuse(handover, terminal, junit, error)
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)
    redactor = redactor_for(settings)
    ledger = EvidenceLedger(settings.policy, settings.root)
    with contextlib.ExitStack() as stack:
        session = SessionProcess(ledger)
        stack.callback(session.close)
        telemetry = JudgeTelemetry(settings, redactor, ledger)
        stack.callback(telemetry.close)
        context = SessionContext(
            options=options,
            settings=settings,
            environment=environment,
            recorder=ledger,
            session=session,
            hooks=hooks,
            terminal=Terminal(color=handover.color, verbosity=handover.verbosity, clean=redactor),
            telemetry=telemetry,
            redactor=redactor,
            signals=signals,
            at_end=stack,
        )
        elsewhere = handover.pytest_root or handover.root
        if Path(elsewhere).resolve() != Path(handover.root).resolve():
            context.terminal.step("project", f"{handover.root}; pytest's own root is {elsewhere}")
            context.terminal.rest()
        return Judge(handover, context, junit).run()


def _settings_for(options: DeployOptions, root: Path) -> tuple[Settings, Environment]:
    """The settings that judge the environment of ``options``, and that environment."""
    settings = load(root)
    environment = select_environment(settings, options.environment, endpoint=options.endpoint)
    engine = environment.engine.without_steps() if options.skips_steps else environment.engine
    environment = environment._replace(engine=engine)
    _check_may_detach(options, environment)
    is_promotion = options.mode in (Mode.DEPLOY, Mode.PLAN)
    settings = settings.narrow_to(environment, has_steps=is_promotion)
    if settings.policy.gates_of(Phase.STEP):
        environment = environment._replace(engine=engine._replace(has_step_gates=True))
    return settings, environment


def _absolute(handover: Handover) -> str:
    return str(Path(handover.cwd) / handover.junit) if handover.junit else ""


def _refuse(handover: Handover, terminal: Terminal, junit: JUnitWriter, error: ConfigError) -> int:
    """Say why the session cannot begin; where a deployment was asked for, in the JUnit file as well."""
    terminal.error(error)
    if handover.names_deployment:
        reason = Reason(code=ReasonCode.COULD_NOT_ACT, sentence=error.message)
        result = SessionResult(
            verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.USAGE
        )
        junit.write(result, properties(handover.asked["to"], {}, result))
        told = services_of_this_job(Path(handover.root), Redactor(), terminal.command)
        told.report(handover.asked["to"], {}, result)
    return int(ExitStatus.USAGE)


def _check_may_detach(options: DeployOptions, environment: Environment) -> None:
    if options.detaches and not environment.engine.detach:
        raise ConfigError(
            f"environment {environment.name} does not allow a rollout to be left at a step",
            hint=f"set detach = true in [tool.deploygate.environments.{environment.name}]",
        )


def _pending_result(sentence: str) -> SessionResult:
    return SessionResult(
        verdict="PENDING",
        state="PENDING",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=None,
    )


class Judge:
    """One session: starts it, drives the flow, concludes it, and has the last word."""

    def __init__(self, handover: Handover, context: SessionContext, junit: JUnitWriter) -> None:
        self._handover = handover
        self._context = context
        self._junit = junit
        self._flow = flow_of(context)
        self._began = time.monotonic()
        self._result: SessionResult | None = None
        self._has_run = False

    def run(self) -> int:
        """The exit status."""
        context = self._context
        self._write(_pending_result("the session died before it decided"))
        is_complete = False
        try:
            settings = context.settings
            if settings.session_credentials is SessionCredentials.WITHHELD:
                forbid_inspection()
            variables = session_variables(
                os.environ,
                settings.session_credentials,
                kept=settings.session_variables,
                folder=context.session.folder,
            )
            context.session.start(self._handover.command, self._handover.cwd, variables)
            preload_libraries(context.environment)  # the session collects meanwhile
            with context.signals.deliver_signals():
                self._drive()
            is_complete = not context.session.is_over
        except SessionOver:
            pass
        except KeyboardInterrupt as error:
            context.session.interrupt()
            context.recorder.mark_incomplete(
                f"the session was interrupted: KeyboardInterrupt: {error}".rstrip(": ")
            )
        except ConfigError as error:
            self._result = result_of_error(error)
        except Exception as error:
            logger.exception("judge.broken")
            context.recorder.mark_incomplete(f"internal error: {type(error).__name__}: {error}")
        with context.signals.shield():
            return self._end(is_complete=is_complete)

    def _drive(self) -> None:
        context = self._context
        errors = context.session.collect()
        gc.enable()
        gc.freeze()  # all that is loaded stays: no collection of garbage needs to look at it again
        if context.options.mode is Mode.DEPLOY:
            self._check_refusals()
        else:
            for sentence in context.session.refusals:
                context.recorder.mark_incomplete(sentence)
        check_collected(context)
        self._check_root()
        watch = context.watch = SourceWatch(context.settings.root, context.recorder.files)
        for sentence in find_vacuous_tests(context.settings.root, watch.files):
            context.recorder.mark_incomplete(sentence)
        is_deploy = context.options.mode is Mode.DEPLOY
        if errors or (is_deploy and context.recorder.doubts):
            why = "; ".join(context.recorder.doubts[:3]) or "collection failed"
            reason = Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=why)
            self._result = SessionResult(
                verdict="REFUSE", state="REFUSED", reason=reason, status=ExitStatus.FAILED
            )
            context.skip_rest(reason)
            return
        self._has_run = True
        self._flow.run()

    def _check_refusals(self) -> None:
        refusals = self._context.session.refusals
        if refusals:
            raise ConfigError(
                "this session cannot decide a deployment:\n"
                + "\n".join(f"  {text}" for text in refusals)
            )

    def _check_root(self) -> None:
        root = self._context.session.root
        if Path(root).resolve() != self._context.settings.root.resolve():
            raise ConfigError(
                f"pytest's root directory is {root}, but the settings are those of {self._context.settings.root}",
                hint=f"run pytest in {self._context.settings.root}, or with --rootdir={self._context.settings.root}",
            )

    # -- the end ---------------------------------------------------------------------------------

    def _end(self, *, is_complete: bool) -> int:
        context = self._context
        try:
            self._conclude(is_complete=is_complete)
        except BaseException:
            logger.exception("rollout.conclude_failed")
            self._result = self._recover_elsewhere()
        assert self._result is not None
        self._quietly(lambda: context.skip_rest(self._result.reason) if self._result else None)
        limit_s = GRACE_S if context.signals.received else None
        theirs = context.session.finish() if limit_s is None else context.session.finish(limit_s)
        if context.session.status is not None and theirs == 0:
            theirs = context.session.status
        result = self._result
        self._quietly(lambda: self._write(result, is_last=True))
        status = self._status(theirs)
        self._quietly(self._write_page)
        self._quietly(self._show)
        self._quietly(self._tell_ci)
        return status

    def _quietly(self, call: Callable[[], None]) -> None:
        """What people are shown changes nothing any more."""
        try:
            call()
        except Exception:
            logger.exception("session.report_failed")

    def _conclude(self, *, is_complete: bool) -> None:
        context = self._context
        if is_complete and self._has_run:
            is_complete = self._end_checks()
        self._quietly(lambda: self._write(_pending_result("the session died while it acted")))
        if self._result is None and not self._has_run:
            self._result = self._result_without_run()
        if self._result is None:
            try:
                self._result = self._flow.conclude(is_complete=is_complete)
            except DeployGateError as error:
                self._result = result_of_error(error)
        self._quietly(self._tell_server_errors)
        if not is_complete:
            self._quietly(context.session.end_checks)

    def _tell_server_errors(self) -> None:
        assert self._result is not None
        errors = tuple(tell_server_errors(self._context))
        self._result = replace(self._result, lines=(*errors, *self._result.lines))

    def _end_checks(self) -> bool:
        """End the checks: what workers say meanwhile still counts; whether the session got there in order."""
        try:
            self._context.session.end_checks()
        except Exception as error:
            logger.exception("session.not_heard")
            sentence = f"the session could not be heard: {type(error).__name__}: {error}"
            self._context.recorder.mark_incomplete(sentence)
            return False
        return not self._context.session.is_over

    def _result_without_run(self) -> SessionResult:
        refusals = self._context.session.refusals
        if refusals and self._context.options.mode is Mode.DEPLOY:
            return result_of_error(ConfigError("; ".join(refusals)))
        if self._context.session.finish() == ExitStatus.USAGE:  # pytest has said what was wrong
            return result_of_error(
                ConfigError("pytest ended with a usage error before it collected, see above")
            )
        return result_of_empty_session(self._context)

    def _recover_elsewhere(self) -> SessionResult:
        """Nobody knows how far it came: another process recovers what is left."""
        context = self._context
        if context.options.mode in (Mode.DEPLOY, Mode.ROLLBACK_CHECKS):
            found = recover_session(context)
            record, serving = found if found is not None else (None, "")
            return result_of_second_recovery(context, record, serving)
        sentence = "the session could not be concluded: internal error (see the log)"
        return SessionResult(
            verdict="UNKNOWN",
            state="JUDGED",
            reason=Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence),
            status=ExitStatus.COULD_NOT_ACT,
        )

    def _write(self, result: SessionResult, *, is_last: bool = False) -> None:
        context = self._context
        named = {f"deploygate.{name}": text for name, text in context.notes.items()}
        named |= {f"deploygate.plugin.{n}": text for n, text in context.hooks.identities.items()}
        named |= properties(context.environment.name, context.verdicts, result)
        problem = self._junit.write(
            result,
            named,
            written=junit_text(context.session.junit) if is_last else b"",
            checks=[c for c in context.recorder.checks if c.phase in context.phases]
            if is_last
            else (),
            state_of=context.recorder.state_of,
        )
        if problem:
            context.terminal.line(f"deploygate: note: {problem}", yellow=True)

    def _status(self, theirs: int | None) -> int:
        """The judge's status; pytest's own where it says more and the session did not end well."""
        result = self._result
        assert result is not None
        assert result.status is not None
        decided = (
            ExitStatus.STRANDED,
            ExitStatus.COULD_NOT_ACT,
            ExitStatus.USAGE,
            ExitStatus.STEPPING,
        )
        if result.status in decided:
            return int(result.status)
        if result.status is ExitStatus.OK and result.state == "PROMOTED":
            return int(result.status)
        if theirs in _PYTESTS_OWN:
            return int(theirs)
        if result.status is ExitStatus.OK and theirs not in (0, 1):
            return int(ExitStatus.FAILED)
        return int(result.status)

    def _write_page(self) -> None:
        """The page that ``--deploy-report`` asks for."""
        context, result = self._context, self._result
        if not context.options.page or result is None or result.record is None:
            return
        from pytest_deploygate.report.recorded_pages import rollout_html

        path = Path(self._handover.cwd) / context.options.page
        try:
            with contextlib.closing(open_store(context.settings, SystemClock())) as store:
                policy = context.settings.policy
                text = rollout_html(store, result.record, policy, context.redactor)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except (DeployGateError, OSError) as error:
            context.terminal.line(f"deploygate: note: {path} was not written: {error}", yellow=True)

    def _tell_ci(self) -> None:
        context, result = self._context, self._result
        if result is not None:
            told = services_of_this_job(
                context.settings.root, context.redactor, context.terminal.command
            )
            told.report(context.environment.name, context.verdicts, result)

    def _show(self) -> None:
        if self._result is not None:
            seconds = time.monotonic() - self._began
            self._context.terminal.summary(self._context.verdicts, self._result, seconds)
