"""``--deploy-to``: readiness, stage, candidate, promote, live; keep or roll back at session end."""

import contextlib
import logging

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.errors import DeployGateError, LeaseLost
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.detached import check_nothing_is_detached, detach
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import reason_for
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import settled_snapshot
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.engine.staging import Staged
from pytest_deploygate.judge.action import end_unchanged
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.flow_interface import (
    posting_note,
    recover_open_rollouts,
    settings_notes,
    with_verdict,
)
from pytest_deploygate.judge.flows.step_walk import walk_steps
from pytest_deploygate.judge.platform_metrics import open_statistics
from pytest_deploygate.judge.policy_ratchet import recorded_policy
from pytest_deploygate.judge.preconditions import (
    check_gates_are_complete,
    check_not_frozen,
    check_preconditions,
)
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.result import (
    result_of_detached,
    result_of_error,
    result_of_rollout,
    result_without_rollout,
)
from pytest_deploygate.judge.second_recovery import recover_elsewhere
from pytest_deploygate.judge.session_process import SessionOver
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.watchdog import process
from pytest_deploygate.wiring import open_ports

logger = logging.getLogger(__name__)


class DeployFlow:
    """Readiness, stage, candidate, promote, live; keep or roll back at session end."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._stack = contextlib.ExitStack()
        self._rollout: Rollout | None = None
        self._permits = PhasePermits()
        self._keeper: LeaseHeartbeat | None = None
        self._error: DeployGateError | None = None
        self._deciding: PhaseVerdict | None = None
        self._staged: Staged | None = None
        self._is_unchanged = False
        self._stopped: Reason | None = None
        """Why the rollout must go back from a step."""
        self._is_detached = False

    # -- between collection and session end ------------------------------------------------------

    def run(self) -> None:
        """Carry the rollout as far as its gates hold; the last word is left to :meth:`conclude`."""
        try:
            self._run()
        except DeployGateError as error:
            self._error = error
        except SessionOver:
            why = self._interruption(is_complete=False)
            assert why is not None
            self._abort_if_touched(why, cut_short=True)
            return
        except KeyboardInterrupt as error:
            self._context.session.interrupt()
            sentence = f"the session was interrupted: KeyboardInterrupt: {error}".rstrip(": ")
            why = Reason(code=ReasonCode.INTERRUPTED, sentence=sentence)
            self._abort_if_touched(why, cut_short=True)
            raise
        reason = self._why_stopped()
        if reason is not None:
            self._abort_if_touched(reason)
            self._context.skip_rest(reason)

    def _run(self) -> None:
        context = self._context
        check_gates_are_complete(context)
        ports = self._stack.enter_context(open_ports(context.settings, context.environment))
        recover_open_rollouts(context, ports)
        check_nothing_is_detached(ports)
        context.statistics = open_statistics(context, ports.clock)
        context.remember(ports.store.last_promoted(ports.environment))
        rollout = self._open(ports)
        snapshot = rollout.snapshot
        self._is_unchanged = rollout.is_unchanged
        if not self._phase(Phase.READINESS, rollout):
            return
        if self._is_unchanged:
            context.terminal.step(
                "unchanged", f"{snapshot.baseline} already serves this source and settings"
            )
            for phase in (Phase.CANDIDATE, Phase.LIVE):
                deployment = context.serving_deployment(ports.target, snapshot, phase)
                if not self._judge(phase, deployment, rollout).holds:
                    return
            return
        self._judge_candidate(rollout)

    def _judge_candidate(self, rollout: Rollout) -> None:
        """What comes after staging, if anything was staged."""
        if self._staged is None or not self._phase(Phase.CANDIDATE, rollout):
            return
        self._walk(rollout)

    def _walk(self, rollout: Rollout) -> None:
        """From the first step that is judged to the live gates, as far as they hold."""
        staged, context, target = self._staged, self._context, rollout.ports.target
        assert staged is not None
        self._stopped = walk_steps(context, rollout, self._permits, staged)
        self._is_detached = rollout.state is State.STEPPING and self._stopped is None
        if rollout.state is State.SERVING and self._stopped is None:
            now = target.snapshot()._replace(is_public=context.environment.spec.public)
            deployment = context.deployment_of(target, staged, now, Phase.LIVE)
            self._judge(Phase.LIVE, deployment, rollout)

    def _judge(self, phase: Phase, deployment: Deployment, rollout: Rollout) -> PhaseVerdict:
        """Run one phase and judge it; the verdict is recorded and told before anything follows from it.

        Of a live phase that holds, the last word is spoken at session end, and told then.
        """
        self._permits.permit()
        verdict = self._deciding = self._context.run_phase(phase, deployment)
        self._grant(verdict)
        record = with_verdict(rollout.record, verdict)
        rollout.update(record._replace(notes={**record.notes, **self._context.notes}))
        if phase is not Phase.LIVE or not verdict.holds:
            self._context.tell_verdict(rollout.record, verdict)
        return verdict

    def _grant(self, verdict: PhaseVerdict) -> None:
        """Allow the step that follows from a verdict, before anybody is told of it who might change it."""
        self._permits.permit(*([verdict.evidence.phase] if verdict.holds else []))

    def _open(self, ports: Ports) -> Rollout:
        from pytest_deploygate.system.process_identity import this_process

        context = self._context
        options = context.options
        assert context.watch is not None
        snapshot = settled_snapshot(ports, context.terminal.step)
        package = ports.target.package()
        context.watch.watch_source(package, ports.target.package)
        with context.signals.defer_signals():
            rollout = Rollout.open(
                ports,
                actor=this_process(),
                purpose="deploy",
                overrides=dict(options.overrides),
                checks_digest=context.watch.suite_digest,
                deploy_reason=options.reason,
                progress=context.terminal.step,
                permits=self._permits,
            )
            self._hold(rollout)
        rollout.observe(snapshot, package, context.environment.config_digest)
        if context.telemetry.trace is not None:
            context.notes.update(context.telemetry.trace.notes)
        rollout.update(
            rollout.record._replace(
                inventory=context.recorder.inventory,
                policy=recorded_policy(context, ports.store.last_promoted(ports.environment)),
                plugins=context.hooks.identities,
                notes={**rollout.record.notes, **context.notes, **settings_notes(context)},
            )
        )
        if options.skips_steps:
            told = "no step is judged: --deploy-steps=none"
            context.terminal.step("steps", told)
            context.note("steps", told)
        context.terminal.step("rollout", f"{rollout.record.rollout_id} to {ports.environment}")
        context.terminal.step(
            "packaging", f"{len(package.files)} files, digest {package.digest[:12]}"
        )
        context.tell_left_out(package)
        check_preconditions(context, ports, rollout)
        return rollout

    def _hold(self, rollout: Rollout) -> None:
        """Keep the lease of the rollout, and let nobody overlook that this process died."""
        self._rollout = rollout
        mark = self._context.recorder.mark_incomplete
        self._keeper = LeaseHeartbeat(rollout.ports.store, rollout.lease, mark)
        self._keeper.start()
        self._watch(rollout)

    def _watch(self, rollout: Rollout) -> None:
        """From here on the death of this process does not go unnoticed."""
        if not self._context.options.watchdog:
            return
        settings = self._context.settings
        make_private_folder(settings.state_dir)
        dog = process.start(
            root=settings.root,
            environment=rollout.ports.environment,
            rollout_id=rollout.record.rollout_id,
            state_dir=settings.state_dir,
        )
        # it has much to unload, while the session ends and the result is told
        self._context.at_end.callback(dog.wait_for_end)
        self._stack.callback(dog.stand_down)
        rollout.update(rollout.record._replace(watchdog_pid=dog.pid))

    def _phase(self, phase: Phase, rollout: Rollout) -> bool:
        """Run one phase, and have its verdict turned into an action; whether it holds."""
        context, ports = self._context, rollout.ports
        if phase is Phase.READINESS:
            deployment = context.ready(ports.target, rollout.snapshot)
        else:
            assert self._staged is not None
            deployment = context.deployment_of(ports.target, self._staged, rollout.snapshot, phase)
        verdict = self._judge(phase, deployment, rollout)
        if phase is Phase.READINESS and verdict.holds and self._is_unchanged:
            return True
        self._act(rollout, verdict)
        return verdict.holds

    def _act(self, rollout: Rollout, verdict: PhaseVerdict) -> None:
        context = self._context
        if rollout.state is State.STAGED and verdict.holds:
            # A freeze may have begun meanwhile.
            check_not_frozen(context.environment, rollout.ports.clock.now())
        context.hooks.act(rollout, verdict)
        if rollout.state is State.STAGED and rollout.staged is not None:
            self._staged = rollout.staged

    def _why_stopped(self) -> Reason | None:
        if self._error is not None:
            return reason_for(self._error, self._code_of_error())
        if self._stopped is not None:
            return self._stopped
        if self._deciding is not None and not self._deciding.holds:
            return self._deciding.reason
        return None

    def _code_of_error(self) -> ReasonCode:
        state = self._rollout.state if self._rollout is not None else None
        if state is State.STAGING:
            return ReasonCode.STAGE_FAILED
        return ReasonCode.PROMOTE_FAILED if state is State.PROMOTING else ReasonCode.COULD_NOT_ACT

    def _abort_if_touched(self, reason: Reason, *, cut_short: bool = False) -> None:
        """Serving the baseline cannot wait for the session to end, nor for pytest to tell of a signal."""
        rollout = self._rollout
        if rollout is not None and not rollout.state.is_final and rollout.state is not State.OPEN:
            with self._context.signals.shield():
                if cut_short:
                    self._record_evidence(rollout)
                self._abort(rollout, reason)

    def _abort(self, rollout: Rollout, reason: Reason) -> None:
        try:
            rollout.abort(reason)
        except LeaseLost as error:
            self._error = error

    # -- session end -----------------------------------------------------------------------------

    def conclude(self, *, is_complete: bool) -> SessionResult:
        """Keep or roll back, by all that was seen up to now; then record it."""
        try:
            return self._conclude(is_complete=is_complete)
        except BaseException as error:
            logger.exception("rollout.settle_broken")
            return self._settle_broken(error)
        finally:
            if self._keeper is not None:
                self._keeper.stop()
            self._stack.close()

    def _settle_broken(self, error: BaseException) -> SessionResult:
        """A hook of somebody else, or a bug: no candidate is left behind because of it."""
        rollout = self._rollout
        if rollout is None:
            raise error
        if not rollout.state.is_final:
            sentence = f"deciding broke: {type(error).__name__}: {error}"
            try:
                self._abort(rollout, Reason(code=ReasonCode.INTERRUPTED, sentence=sentence))
            except Exception:
                logger.exception("rollout.abort_broken")
        self._try_elsewhere(rollout)
        return self._result(rollout)

    def _try_elsewhere(self, rollout: Rollout) -> None:
        """Nobody is told that a rollout is stranded before another process has tried to return to the baseline."""
        if self._keeper is not None:
            self._keeper.stop()
        is_ours = not isinstance(self._error, LeaseLost)
        if is_ours and (rollout.state is State.STRANDED or not rollout.state.is_final):
            recover_elsewhere(self._context, rollout)

    def _conclude(self, *, is_complete: bool) -> SessionResult:
        rollout, context = self._rollout, self._context
        if rollout is None:
            if self._error is not None:
                return result_of_error(self._error)
            return result_without_rollout(self._context)
        interrupted = self._interruption(is_complete=is_complete)
        if self._is_detached and interrupted is None and self._error is None:
            return self._leave(rollout)
        if not rollout.state.is_final:
            if interrupted is not None:
                # While the lease is held: a phase may have been cut short.
                self._record_evidence(rollout)
            self._last_word(rollout, interrupted)
        self._try_elsewhere(rollout)
        self._complete_record(rollout)
        context.tell_finished(rollout.record)
        return self._result(rollout)

    def _leave(self, rollout: Rollout) -> SessionResult:
        """Leave the rollout at its step, for another session to carry it on."""
        if self._keeper is not None:
            self._keeper.stop()
        detach(rollout, rollout.record.steps[-1].seconds if rollout.record.steps else 0)
        return result_of_detached(rollout)

    def _record_evidence(self, rollout: Rollout) -> None:
        record = rollout.record
        for verdict in self._context.verdicts.values():
            record = with_verdict(record, verdict)
        with contextlib.suppress(DeployGateError):
            rollout.update(record)

    def _complete_record(self, rollout: Rollout) -> None:
        """Add the evidence and the URL; the rollout has ended, so what cannot be written is left out."""
        record = rollout.record
        for verdict in self._context.verdicts.values():
            record = with_verdict(record, verdict)
        if not record.url:  # a first release: nothing had one when it began
            with contextlib.suppress(DeployGateError):
                url = rollout.ports.target.snapshot().url
                record = record._replace(url=url)
        record = record._replace(notes={**record.notes, "postings": posting_note(record)})
        rollout.record = record
        with contextlib.suppress(DeployGateError):
            rollout.update(record)

    def _interruption(self, *, is_complete: bool) -> Reason | None:
        doubts = self._context.recorder.doubts
        if is_complete and not doubts:
            return None
        sentence = doubts[0] if doubts else "the session ended before its time"
        return Reason(code=ReasonCode.INTERRUPTED, sentence=sentence)

    def _last_word(self, rollout: Rollout, interrupted: Reason | None) -> None:
        """Judge the last phase once more, now that every report is in, and act on it."""
        context = self._context
        held = (
            interrupted is None
            and self._error is None
            and self._deciding is not None
            and self._deciding.evidence.phase is Phase.LIVE
        )
        self._permits.permit()
        if held:
            verdict = self._deciding = context.judge(Phase.LIVE)
            self._grant(verdict)
            try:
                rollout.update(with_verdict(rollout.record, verdict))
                context.tell_verdict(rollout.record, verdict)
                if self._is_unchanged:
                    end_unchanged(rollout, verdict)
                else:
                    self._act(rollout, verdict)
            except DeployGateError as error:
                self._error = error
        if not rollout.state.is_final:
            reason = (
                (interrupted if self._error is None else None)
                or self._why_stopped()
                or Reason(code=ReasonCode.CUSTOM, sentence="no action was taken on the verdict")
            )
            self._abort(rollout, reason)

    def _result(self, rollout: Rollout) -> SessionResult:
        return result_of_rollout(self._context, rollout, self._error, self._deciding)
