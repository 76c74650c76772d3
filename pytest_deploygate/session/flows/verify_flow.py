"""``--deploy-env`` and ``-m rollback-checks``: judging what serves; the latter may roll back."""

import contextlib
from dataclasses import replace

import pytest

from pytest_deploygate.core.errors import (
    DeployGateError,
    Drifted,
    ExitStatus,
    TargetRefused,
)
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.heartbeat import LeaseKeeper
from pytest_deploygate.engine.journaled_rollout import Ledgered, reason_for
from pytest_deploygate.engine.operator_rollback import roll_back
from pytest_deploygate.engine.rollback_plan import RollbackPlan, plan_rollback
from pytest_deploygate.reporting.session_result import Ending
from pytest_deploygate.session.context import Desk
from pytest_deploygate.session.flows.base import with_verdict
from pytest_deploygate.session.platform_metrics import open_statistics
from pytest_deploygate.session.result import ending_for
from pytest_deploygate.targets import gcloud_commands
from pytest_deploygate.wiring import open_ports, recover


class JudgeFlow:
    """``--deploy-env`` and ``-m rollback-checks``: judge what serves; the latter may roll back."""

    def __init__(self, desk: Desk, *, phases: tuple[Phase, ...], may_act: bool) -> None:
        self._desk = desk
        self._phases = phases
        self._may_act = may_act and desk.environment.rolls_back and not desk.options.report_only
        self._stack = contextlib.ExitStack()
        self._ports: Ports | None = None
        self._snapshot: Snapshot | None = None
        self._error: DeployGateError | None = None

    def run(self, session: pytest.Session) -> None:
        """Judge each phase against what serves."""
        desk = self._desk
        try:
            ports = self._stack.enter_context(open_ports(desk.settings, desk.environment))
            self._ports = ports
            desk.statistics = open_statistics(desk, ports.clock)
            desk.remember(ports.store.last_promoted(ports.environment))
            snapshot = self._snapshot = ports.target.snapshot()
            if not snapshot.exists:
                raise TargetRefused(
                    f"nothing is deployed in {ports.environment}",
                    hint=f"deploy it: pytest --deploy-to={ports.environment}",
                )
            for phase in self._phases:
                is_offline = phase is Phase.READINESS
                deployment = (
                    desk.ready(ports.target, snapshot)
                    if is_offline
                    else desk.serving(ports.target, snapshot, phase)
                )
                desk.run_phase(session, phase, deployment)
        except DeployGateError as error:
            self._error = error
            desk.skip_rest(reason_for(error, ReasonCode.COULD_NOT_ACT))

    def settle(self, *, is_complete: bool) -> Ending:
        """Judge once more with every report in; roll back where that is asked for and the evidence is explicit."""
        with self._stack:
            ending = self._settle(is_complete=is_complete)
            if ending.record is not None or self._ports is None:
                return ending
            with contextlib.suppress(DeployGateError):
                now = self._ports.target.snapshot()
                serving = str(now.serving.sole or now.serving) if now.exists else "nothing"
                lines = (*ending.lines, f"serving: {serving}", f"url: {now.url}")
                ending = replace(ending, serving=serving, lines=lines)
            return ending

    def _settle(self, *, is_complete: bool) -> Ending:
        if self._error is not None:
            return ending_for(self._error)
        verdicts = [self._desk.judge(phase) for phase in self._desk.verdicts]
        broken = [v for v in verdicts if not v.holds]
        if not is_complete or not verdicts:
            doubt = (*self._desk.recorder.doubts, "the session ended before its time")[0]
            reason = Reason(code=ReasonCode.INTERRUPTED, sentence=doubt)
            return Ending(
                verdict="UNKNOWN", state="JUDGED", reason=reason, status=ExitStatus.NOT_PROMOTED
            )
        if not broken:
            held = verdicts[-1].reason
            return Ending(
                verdict="KEEP",
                state="JUDGED",
                reason=self._with_notes(held),
                status=ExitStatus.PROMOTED,
            )
        return self._bad(broken[0])

    def _with_notes(self, reason: Reason) -> Reason:
        """What could not be asked belongs to what is said in one line, too; nothing was decided by it."""
        notes = self._desk.notes.values()
        return replace(reason, sentence="; ".join([reason.sentence, *notes])) if notes else reason

    def _bad(self, verdict: PhaseVerdict) -> Ending:
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
            and not self._desk.recorder.doubts
        )
        if not (self._may_act and is_explicit):
            why = (
                "judged only"
                if is_explicit
                else "nothing was done, since the evidence is not complete"
            )
            return Ending(
                verdict="ROLL_BACK" if is_explicit else "UNKNOWN",
                state="JUDGED",
                reason=self._with_notes(verdict.reason),
                others=verdict.reasons[1:],
                status=ExitStatus.NOT_PROMOTED,
                lines=(why,),
            )
        return self._roll_back(verdict)

    def _roll_back(self, verdict: PhaseVerdict) -> Ending:
        desk, ports, snapshot = self._desk, self._ports, self._snapshot
        assert ports is not None
        assert snapshot is not None
        try:
            plan, rollout = self._go_back(ports, snapshot, verdict)
        except DeployGateError as error:
            ending = ending_for(error)
            return replace(
                ending,
                verdict="ROLL_BACK",
                state="JUDGED",
                others=verdict.reasons,
                reason=replace(ending.reason, sentence=f"could not roll back: {error.message}"),
            )
        desk.tell_finished(rollout.record)
        is_stranded = rollout.state is State.STRANDED
        return Ending(
            verdict="ROLL_BACK",
            state=rollout.state.value,
            reason=verdict.reason,
            others=verdict.reasons[1:],
            status=ExitStatus.STRANDED if is_stranded else ExitStatus.NOT_PROMOTED,
            record=rollout.record,
            lines=(
                rollout.record.reason
                if is_stranded
                else f"rolled back from {plan.serving.sole or plan.serving} to {plan.to}",
                f"url: {snapshot.url}",
                *(() if is_stranded else _pinned(ports)),
            ),
        )

    def _go_back(
        self, ports: Ports, judged: Snapshot, verdict: PhaseVerdict
    ) -> tuple[RollbackPlan, Ledgered]:
        """Return the traffic, unless something else than what was ``judged`` serves meanwhile."""
        from pytest_deploygate.system.process_identity import this_process

        desk = self._desk
        recover(ports, wait_s=desk.options.wait_s, progress=desk.terminal.step)
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

            def keep(rollout: Ledgered) -> None:
                rollout.update(with_verdict(rollout.record, verdict))
                rollout.note(**desk.notes)
                keeper = LeaseKeeper(rollout.ports.store, rollout.lease, desk.recorder.doubt)
                stack.enter_context(keeper)

            rollout = roll_back(
                ports,
                plan,
                actor=this_process(),
                purpose="rollback-checks",
                reason=verdict.reason,
                progress=desk.terminal.step,
                opened=keep,
            )
        return plan, rollout


def _pinned(ports: Ports) -> tuple[str, ...]:
    with contextlib.suppress(DeployGateError):
        return gcloud_commands.pinned(ports.target.spec, ports.target.snapshot())
    return ()
