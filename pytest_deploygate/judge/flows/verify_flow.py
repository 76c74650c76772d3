"""``--deploy-env`` and ``-m rollback-checks``: judging what serves; the latter may roll back."""

import contextlib
from dataclasses import replace

from pytest_deploygate.config.environment import LOCAL
from pytest_deploygate.core.documentation import stranded_advice
from pytest_deploygate.core.errors import (
    DeployGateError,
    Drifted,
    ExitStatus,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.detached import check_nothing_is_detached
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.heartbeat import LeaseHeartbeat
from pytest_deploygate.engine.journaled_rollout import JournaledRollout, reason_for
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.rollback_plan import RollbackPlan, plan_rollback
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.flow_interface import with_verdict
from pytest_deploygate.judge.platform_metrics import open_statistics
from pytest_deploygate.judge.policy_ratchet import check_judged
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.result import result_of_error
from pytest_deploygate.judge.second_recovery import recover_elsewhere
from pytest_deploygate.judge.session_process import SessionOver
from pytest_deploygate.targets import gcloud_commands
from pytest_deploygate.wiring import open_ports, recover


class VerifyFlow:
    """``--deploy-env`` and ``-m rollback-checks``: judge what serves; the latter may roll back."""

    def __init__(
        self, context: SessionContext, *, phases: tuple[Phase, ...], may_act: bool
    ) -> None:
        self._context = context
        self._phases = phases
        self._may_act = (
            may_act and context.environment.rolls_back and not context.options.report_only
        )
        self._stack = contextlib.ExitStack()
        self._ports: Ports | None = None
        self._snapshot: Snapshot | None = None
        self._error: DeployGateError | None = None
        self._looser: PreflightFinding | None = None
        """In which points less is judged than at the promotion of what serves."""

    def run(self) -> None:
        """Judge each phase against what serves."""
        context = self._context
        try:
            ports = self._stack.enter_context(open_ports(context.settings, context.environment))
            self._ports = ports
            context.statistics = open_statistics(context, ports.clock)
            context.remember(ports.store.last_promoted(ports.environment))
            snapshot = self._snapshot = ports.target.snapshot()
            if not snapshot.exists:
                raise TargetRefused(
                    f"nothing is deployed in {ports.environment}",
                    hint=f"deploy it: pytest --deploy-to={ports.environment}",
                )
            self._looser = check_judged(context, ports, self._phases)
            for phase in self._phases:
                is_offline = phase is Phase.READINESS
                deployment = (
                    context.ready(ports.target, snapshot)
                    if is_offline
                    else context.serving_deployment(ports.target, snapshot, phase)
                )
                context.run_phase(phase, deployment)
        except SessionOver:
            return
        except DeployGateError as error:
            self._error = error
            context.skip_rest(reason_for(error, ReasonCode.COULD_NOT_ACT))

    def conclude(self, *, is_complete: bool) -> SessionResult:
        """Judge once more with every report in; roll back where that is asked for and the evidence is explicit."""
        with self._stack:
            result = self._conclude(is_complete=is_complete)
            if result.record is not None or self._ports is None:
                return result
            with contextlib.suppress(DeployGateError):
                now = self._ports.target.snapshot()
                serving = str(now.serving.sole or now.serving) if now.exists else "nothing"
                lines = (*result.lines, f"serving: {serving}", f"url: {now.url}")
                result = replace(result, serving=serving, lines=lines)
            return result

    def _conclude(self, *, is_complete: bool) -> SessionResult:
        if self._error is not None:
            return result_of_error(self._error)
        verdicts = [self._context.judge(phase) for phase in self._context.verdicts]
        broken = [v for v in verdicts if not v.holds]
        if not is_complete or not verdicts:
            doubt = (*self._context.recorder.doubts, "the session ended before its time")[0]
            reason = Reason(code=ReasonCode.INTERRUPTED, sentence=doubt)
            return SessionResult(
                verdict="UNKNOWN", state="JUDGED", reason=reason, status=ExitStatus.FAILED
            )
        if not broken and self._looser is not None and self._looser.is_blocking:
            # what fails is no less true because of it, so a rollback does not wait for a reason
            sentence = self._looser.sentence
            return SessionResult(
                verdict="UNKNOWN",
                state="JUDGED",
                reason=Reason(code=ReasonCode.EVIDENCE_INCOMPLETE, sentence=sentence),
                status=ExitStatus.FAILED,
                lines=(f"hint: {self._looser.hint}",),
            )
        if not broken:
            held = verdicts[-1].reason
            return SessionResult(
                verdict="KEEP",
                state="JUDGED",
                reason=self._with_notes(held),
                status=ExitStatus.OK,
            )
        return self._result_of_failure(broken[0])

    def _with_notes(self, reason: Reason) -> Reason:
        """What could not be asked belongs to what is said in one line, too; nothing was decided by it."""
        notes = self._context.notes.values()
        return replace(reason, sentence="; ".join([reason.sentence, *notes])) if notes else reason

    def _result_of_failure(self, verdict: PhaseVerdict) -> SessionResult:
        is_explicit = (
            any(
                r.code
                in (
                    ReasonCode.GATE_FAILED,
                    ReasonCode.TRIGGER_FIRED,
                    ReasonCode.SCORE_BELOW_THRESHOLD,
                )
                for r in verdict.reasons
            )
            and not self._context.recorder.doubts
        )
        if not (self._may_act and is_explicit):
            why = (
                "judged only"
                if is_explicit
                else "nothing was done, since the evidence is not complete"
            )
            return SessionResult(
                verdict="ROLL_BACK" if is_explicit else "UNKNOWN",
                state="JUDGED",
                reason=self._with_notes(verdict.reason),
                others=verdict.reasons[1:],
                status=ExitStatus.FAILED,
                lines=(why,),
            )
        return self._roll_back(verdict)

    def _roll_back(self, verdict: PhaseVerdict) -> SessionResult:
        context, ports, snapshot = self._context, self._ports, self._snapshot
        assert ports is not None
        assert snapshot is not None
        try:
            plan, rollout = self._roll_back_unless_moved(ports, snapshot, verdict)
        except DeployGateError as error:
            result = result_of_error(error)
            return replace(
                result,
                verdict="ROLL_BACK",
                state="JUDGED",
                others=verdict.reasons,
                reason=replace(result.reason, sentence=f"could not roll back: {error.message}"),
            )
        if rollout.state is State.STRANDED:
            recover_elsewhere(context, rollout)
        context.tell_finished(rollout.record)
        is_stranded = rollout.state is State.STRANDED
        is_local = context.environment.target == LOCAL
        return SessionResult(
            verdict="ROLL_BACK",
            state=rollout.state.value,
            reason=verdict.reason,
            others=verdict.reasons[1:],
            status=ExitStatus.STRANDED if is_stranded else ExitStatus.FAILED,
            record=rollout.record,
            lines=(
                rollout.record.reason
                if is_stranded
                else f"rolled back from {plan.serving.sole or plan.serving} to {plan.to}",
                f"url: {snapshot.url}",
                *([stranded_advice(ports.environment)] if is_stranded else []),
                *(() if is_stranded or is_local else _pinned_notes(ports)),
            ),
        )

    def _roll_back_unless_moved(
        self, ports: Ports, judged: Snapshot, verdict: PhaseVerdict
    ) -> tuple[RollbackPlan, JournaledRollout]:
        """Return the traffic, unless something else than what was ``judged`` serves meanwhile."""
        from pytest_deploygate.system.process_identity import this_process

        context = self._context
        recover(ports, wait_s=context.options.wait_s, progress=context.terminal.step)
        check_nothing_is_detached(ports)
        now = ports.target.snapshot()
        if now.serving.shares != judged.serving.shares:
            before, after = (Traffic.of(dict(s.serving.shares)) for s in (judged, now))
            raise Drifted(
                f"{after} serves now, but {before} was judged",
                found=str(now.serving),
                hint="judge again: pytest -m rollback-checks",
            )
        plan = plan_rollback(ports, now)
        with contextlib.ExitStack() as stack:

            def keep(rollout: JournaledRollout) -> None:
                record = with_verdict(rollout.record, verdict)
                notes = {**record.notes, **context.notes}
                rollout.update(record._replace(notes=notes, plugins=context.hooks.identities))
                keeper = LeaseHeartbeat(
                    rollout.ports.store, rollout.lease, context.recorder.mark_incomplete
                )
                stack.enter_context(keeper)

            rollout = rollback_to_revision(
                ports,
                plan,
                actor=this_process(),
                purpose="rollback-checks",
                reason=verdict.reason,
                progress=context.terminal.step,
                opened=keep,
            )
        return plan, rollout


def _pinned_notes(ports: Ports) -> tuple[str, ...]:
    with contextlib.suppress(DeployGateError):
        return gcloud_commands.pinned_notes(ports.target.spec, ports.target.snapshot())
    return ()
