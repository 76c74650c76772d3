"""What a session does with its phases: one flow a mode. The controller runs it, and settles it at session end."""

import contextlib
from dataclasses import replace
from typing import Protocol

import pytest

from pytest_deploygate import watchdog
from pytest_deploygate.core.errors import (
    BuildFailed,
    ConfigError,
    DeployGateError,
    ExitStatus,
    LeaseLost,
    PolicyRefused,
    StartFailed,
    TargetRefused,
)
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.rollout import State
from pytest_deploygate.core.values import Phase
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine import (
    Ports,
    Rollout,
    Staged,
    plan_rollback,
    reason_for,
    roll_back,
)
from pytest_deploygate.reporting import Ending
from pytest_deploygate.session.desk import Desk
from pytest_deploygate.session.guards import refuse_unfit
from pytest_deploygate.session.keeper import LeaseKeeper
from pytest_deploygate.wiring import LOCAL, open_ports, recover

_FINAL_VERDICT = {
    State.PROMOTED: "PROMOTE",
    State.ROLLED_BACK: "ROLL_BACK",
    State.REFUSED: "REFUSE",
    State.STRANDED: "ROLL_BACK",
}


class Flow(Protocol):
    """A session's plot: :meth:`run` between collection and session end, :meth:`settle` at session end."""

    def run(self, session: pytest.Session) -> None:
        """Run the phases; errors of the package are kept for the ending."""
        ...

    def settle(self, *, is_complete: bool) -> Ending:
        """Bring everything to an end that says who serves. ``is_complete`` is False for a session cut short."""
        ...


def ending_for(error: DeployGateError) -> Ending:
    """How a session ends that could not act."""
    status = ExitStatus.USAGE if isinstance(error, ConfigError) else ExitStatus.COULD_NOT_ACT
    lines = (f"hint: {error.hint}",) if error.hint else ()
    return Ending(
        verdict="REFUSE",
        state=State.REFUSED.value,
        reason=reason_for(error, ReasonCode.COULD_NOT_ACT),
        status=status,
        lines=lines,
    )


class DeployFlow:
    """Readiness, stage, candidate, promote, live; keep or roll back at session end."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._stack = contextlib.ExitStack()
        self._rollout: Rollout | None = None
        self._keeper: LeaseKeeper | None = None
        self._error: DeployGateError | None = None
        self._deciding: PhaseVerdict | None = None
        self._staged: Staged | None = None
        self._is_unchanged = False

    # -- between collection and session end ------------------------------------------------------

    def run(self, session: pytest.Session) -> None:
        """Carry the rollout as far as its gates hold; the last word is left to :meth:`settle`."""
        try:
            self._run(session)
        except DeployGateError as error:
            self._error = error
        reason = self._why_stopped()
        if reason is not None:
            self._break_off_if_touched(reason)
            self._desk.skip_rest(reason)

    def _run(self, session: pytest.Session) -> None:
        desk = self._desk
        ports = self._stack.enter_context(open_ports(desk.settings, desk.environment))
        self._recover(ports)
        rollout = self._open(ports)
        snapshot = rollout.snapshot
        self._is_unchanged = rollout.is_unchanged
        if not self._phase(session, Phase.READINESS, rollout):
            return
        if self._is_unchanged:
            desk.terminal.step(
                "unchanged", f"{snapshot.baseline} already serves this source and settings"
            )
            for phase in (Phase.CANDIDATE, Phase.LIVE):
                deployment = desk.serving(ports.target, snapshot, phase)
                self._deciding = desk.run_phase(session, phase, deployment)
                if not self._deciding.holds:
                    return
            return
        self._judge_candidate(session, rollout)

    def _judge_candidate(self, session: pytest.Session, rollout: Rollout) -> None:
        """What comes after staging, if anything was staged."""
        staged, desk, target = self._staged, self._desk, rollout.ports.target
        if staged is None or not self._phase(session, Phase.CANDIDATE, rollout):
            return
        if rollout.state is State.SERVING:
            now = replace(target.snapshot(), is_public=desk.environment.spec.public)
            deployment = desk.staged(target, staged, now, Phase.LIVE)
            self._deciding = desk.run_phase(session, Phase.LIVE, deployment)

    def _recover(self, ports: Ports) -> None:
        desk = self._desk
        settled = recover(ports, wait_s=desk.options.wait_s, progress=desk.terminal.step)
        for one in settled:
            desk.terminal.line(
                f"deploygate: recovered {one.rollout_id}: {one.state.value}: {one.sentence}"
            )
        stranded = [one for one in settled if one.state is State.STRANDED]
        if stranded:
            raise TargetRefused(
                f"rollout {stranded[0].rollout_id} is stranded: {stranded[0].sentence}",
                hint=f"deploygate status {ports.environment}; docs/runbook.md, 'A stranded rollout'",
            )

    def _open(self, ports: Ports) -> Rollout:
        from pytest_deploygate.store.liveness import this_process

        desk = self._desk
        options = desk.options
        facts = {f"override.{gate}": why for gate, why in options.overrides}
        if options.reason:
            facts["deploy_reason"] = options.reason
        snapshot, package = ports.target.snapshot(), ports.target.package()
        rollout = Rollout.open(
            ports,
            actor=this_process(),
            purpose="deploy",
            facts=facts,
            progress=desk.terminal.step,
        )
        self._rollout = rollout
        self._keeper = LeaseKeeper(rollout, desk.recorder.doubt)
        self._keeper.start()
        self._watch(rollout)
        rollout.observe(snapshot, package, desk.environment.config_digest)
        rollout.update(replace(rollout.record, inventory=desk.recorder.inventory))
        desk.terminal.step("rollout", f"{rollout.record.rollout_id} to {ports.environment}")
        desk.terminal.step("packaging", f"{len(package.files)} files, digest {package.digest[:12]}")
        refuse_unfit(desk, ports, rollout)
        return rollout

    def _watch(self, rollout: Rollout) -> None:
        """From here on the death of this process does not go unnoticed."""
        if not self._desk.options.watchdog:
            rollout.note(watchdog="off")
            return
        settings = self._desk.settings
        settings.state_dir.mkdir(mode=0o700, exist_ok=True)
        dog = watchdog.start(
            root=settings.root,
            environment=rollout.ports.environment,
            rollout_id=rollout.record.rollout_id,
            state_dir=settings.state_dir,
        )
        self._stack.callback(dog.stand_down)
        rollout.note(watchdog=str(dog.pid))

    def _phase(self, session: pytest.Session, phase: Phase, rollout: Rollout) -> bool:
        """Run one phase, and have its verdict turned into an action; whether it holds."""
        desk, ports = self._desk, rollout.ports
        if phase is Phase.READINESS:
            deployment = desk.configuration_only()
        else:
            assert self._staged is not None
            deployment = desk.staged(ports.target, self._staged, rollout.snapshot, phase)
        verdict = self._deciding = desk.run_phase(session, phase, deployment)
        rollout.update(_with_verdict(rollout.record, verdict))
        desk.config.hook.pytest_deploygate_verdict(
            config=desk.config, rollout=rollout.record, verdict=verdict
        )
        if phase is Phase.READINESS and verdict.holds and self._is_unchanged:
            return True
        self._act(rollout, verdict)
        return verdict.holds

    def _act(self, rollout: Rollout, verdict: PhaseVerdict) -> None:
        desk = self._desk
        desk.config.hook.pytest_deploygate_act(config=desk.config, rollout=rollout, verdict=verdict)
        if rollout.state is State.STAGED and rollout.staged is not None:
            self._staged = rollout.staged

    def _why_stopped(self) -> Reason | None:
        if self._error is not None:
            return reason_for(self._error, self._code_of_error())
        if self._deciding is not None and not self._deciding.holds:
            return self._deciding.reason
        return None

    def _code_of_error(self) -> ReasonCode:
        state = self._rollout.state if self._rollout is not None else None
        if state is State.STAGING:
            return ReasonCode.STAGE_FAILED
        return ReasonCode.PROMOTE_FAILED if state is State.PROMOTING else ReasonCode.COULD_NOT_ACT

    def _break_off_if_touched(self, reason: Reason) -> None:
        """Serving the baseline cannot wait for the session to end."""
        rollout = self._rollout
        if rollout is not None and not rollout.state.is_final and rollout.state is not State.OPEN:
            with self._desk.signals.shield():
                self._break_off(rollout, reason)

    def _break_off(self, rollout: Rollout, reason: Reason) -> None:
        try:
            rollout.break_off(reason)
        except LeaseLost as error:
            self._error = error

    # -- session end -----------------------------------------------------------------------------

    def settle(self, *, is_complete: bool) -> Ending:
        """Keep or roll back, by all that was seen up to now; then record it."""
        try:
            return self._settle(is_complete=is_complete)
        finally:
            if self._keeper is not None:
                self._keeper.stop()
            self._stack.close()

    def _settle(self, *, is_complete: bool) -> Ending:
        rollout, desk = self._rollout, self._desk
        if rollout is None:
            if self._error is not None:
                return ending_for(self._error)
            return ending_for(ConfigError("the session ended before its rollout began"))
        interrupted = self._interruption(is_complete=is_complete)
        if not rollout.state.is_final:
            self._last_word(rollout, interrupted)
        if self._keeper is not None:
            self._keeper.stop()
        self._complete_record(rollout)
        desk.config.hook.pytest_deploygate_finished(config=desk.config, rollout=rollout.record)
        return self._ending(rollout)

    def _complete_record(self, rollout: Rollout) -> None:
        """Add the evidence and the URL; the rollout has ended, so what cannot be written is left out."""
        record = rollout.record
        for verdict in self._desk.verdicts.values():
            record = _with_verdict(record, verdict)
        with contextlib.suppress(DeployGateError):
            url = rollout.ports.target.snapshot().url
            record = replace(record, facts={**record.facts, "url": url})
        rollout.record = record
        with contextlib.suppress(DeployGateError):
            rollout.update(record)

    def _interruption(self, *, is_complete: bool) -> Reason | None:
        doubts = self._desk.recorder.doubts
        if is_complete and not doubts:
            return None
        sentence = doubts[0] if doubts else "the session ended before its time"
        return Reason(code=ReasonCode.INTERRUPTED, sentence=sentence)

    def _last_word(self, rollout: Rollout, interrupted: Reason | None) -> None:
        """Judge the last phase once more, now that every report is in, and act on it."""
        desk = self._desk
        held = (
            interrupted is None
            and self._error is None
            and self._deciding is not None
            and self._deciding.evidence.phase is Phase.LIVE
        )
        verdict = desk.judge(Phase.LIVE) if held else self._deciding
        if held and verdict is not None:
            self._deciding = verdict
            desk.config.hook.pytest_deploygate_verdict(
                config=desk.config, rollout=rollout.record, verdict=verdict
            )
            try:
                if self._is_unchanged:
                    _end_unchanged(rollout, verdict)
                else:
                    self._act(rollout, verdict)
            except DeployGateError as error:
                self._error = error
        if not rollout.state.is_final:
            reason = (
                interrupted
                or self._why_stopped()
                or Reason(code=ReasonCode.CUSTOM, sentence="no action was taken on the verdict")
            )
            self._break_off(rollout, reason)

    def _ending(self, rollout: Rollout) -> Ending:
        record, state = rollout.record, rollout.state
        code = ReasonCode(record.reason_code) if record.reason_code else ReasonCode.COULD_NOT_ACT
        reason = Reason(code=code, sentence=record.reason)
        others = self._deciding.reasons[1:] if self._deciding and not self._deciding.holds else ()
        return Ending(
            verdict=_FINAL_VERDICT.get(state, "REFUSE"),
            state=state.value,
            reason=reason,
            others=others,
            status=self._status(state),
            record=record,
            lines=self._lines(rollout),
        )

    def _status(self, state: State) -> ExitStatus:
        if state is State.PROMOTED:
            return ExitStatus.PROMOTED
        if state is State.STRANDED:
            return ExitStatus.STRANDED
        if self._error is None or isinstance(
            self._error, (BuildFailed, StartFailed, PolicyRefused)
        ):
            return ExitStatus.NOT_PROMOTED
        return (
            ExitStatus.USAGE if isinstance(self._error, ConfigError) else ExitStatus.COULD_NOT_ACT
        )

    def _lines(self, rollout: Rollout) -> tuple[str, ...]:
        lines = [f"serving: {rollout.record.serving or 'nothing'}"]
        if url := rollout.record.facts.get("url"):
            lines.append(f"url: {url}")
        with contextlib.suppress(DeployGateError):
            now = rollout.ports.target.snapshot()
            if rollout.state is State.ROLLED_BACK and now.exists and now.traffic.is_pinned:
                lines.append(
                    "traffic is pinned to the baseline: what is deployed by other means gets none "
                    "until the next promotion"
                )
        if self._error is not None and self._error.hint:
            lines.append(f"hint: {self._error.hint}")
        if self._desk.environment.target == LOCAL and rollout.record.serving:
            lines.append("stop the local cloud: deploygate local down")
        if rollout.state is State.STRANDED:
            lines.append(
                f"a person must look: deploygate status {rollout.ports.environment}; "
                "docs/runbook.md, 'A stranded rollout'"
            )
        return tuple(lines)


def _end_unchanged(rollout: Rollout, verdict: PhaseVerdict) -> None:
    if verdict.holds:
        rollout.keep(
            Reason(
                code=ReasonCode.NOTHING_TO_DEPLOY,
                sentence=f"nothing to deploy: {rollout.snapshot.baseline} already serves this source and these "
                "settings, and all gates hold",
            )
        )
    else:
        rollout.refuse(
            replace(
                verdict.reason,
                sentence=f"nothing to deploy, and what serves does not hold: {verdict.reason.sentence}",
            )
        )


def _with_verdict(record: RolloutRecord, verdict: PhaseVerdict) -> RolloutRecord:
    gates = {r.gate.name: f"{r.score} {r.outcome.value}" for r in verdict.gates}
    measured = {
        f"{verdict.evidence.phase.value}.{m.name}": f"{float(m.value):g} {m.unit}".strip()
        for m in verdict.evidence.measurements
    }
    states = {
        f"check.{check}": state.value
        for checks in verdict.evidence.checks.values()
        for check, state in checks
        if state.value != "passed"
    }
    return replace(
        record,
        score=f"{float(verdict.score):.6f}",
        gates={**record.gates, **gates},
        measurements={**record.measurements, **measured},
        facts={**record.facts, **states},
    )


class PlanFlow:
    """``--deploy-plan``: readiness, then what would be done; changes nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._error: DeployGateError | None = None
        self._lines: tuple[str, ...] = ()

    def run(self, session: pytest.Session) -> None:
        """Run the readiness gates and render the plan."""
        desk = self._desk
        try:
            with open_ports(desk.settings, desk.environment) as ports:
                snapshot = ports.target.snapshot()
                desk.run_phase(session, Phase.READINESS, desk.configuration_only())
                findings = ports.target.preflight()
                package = ports.target.package()
                self._lines = (
                    *(f"preflight: {f.sentence}" for f in findings),
                    f"source: {len(package.files)} files, {package.size_bytes} bytes, digest {package.digest}",
                    *ports.target.gcloud_commands(snapshot),
                )
        except DeployGateError as error:
            self._error = error
        desk.skip_rest(Reason(code=ReasonCode.HELD, sentence="--deploy-plan changes nothing"))

    def settle(self, *, is_complete: bool) -> Ending:
        """The readiness verdict and the plan."""
        del is_complete
        if self._error is not None:
            return ending_for(self._error)
        verdict = self._desk.verdicts[Phase.READINESS]
        return Ending(
            verdict="PLAN" if verdict.holds else "REFUSE",
            state="PLANNED",
            reason=verdict.reason,
            status=ExitStatus.PROMOTED if verdict.holds else ExitStatus.NOT_PROMOTED,
            lines=self._lines,
        )


class JudgeFlow:
    """``--deploy-env`` and ``-m rollback-checks``: judge what serves; the latter may roll back."""

    def __init__(self, desk: Desk, *, phases: tuple[Phase, ...], may_act: bool) -> None:
        self._desk = desk
        self._phases = phases
        self._may_act = may_act and desk.environment.rolls_back
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
            snapshot = self._snapshot = ports.target.snapshot()
            if not snapshot.exists:
                raise TargetRefused(
                    f"nothing is deployed in {ports.environment}",
                    hint=f"deploy it: pytest --deploy-to={ports.environment}",
                )
            for phase in self._phases:
                is_offline = phase is Phase.READINESS
                deployment = (
                    desk.configuration_only()
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
                    verdict="KEEP", state="JUDGED", reason=held, status=ExitStatus.PROMOTED
                )
            return self._bad(broken[0])

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
                reason=verdict.reason,
                others=verdict.reasons[1:],
                status=ExitStatus.NOT_PROMOTED,
                lines=(why,),
            )
        return self._roll_back(verdict)

    def _roll_back(self, verdict: PhaseVerdict) -> Ending:
        from pytest_deploygate.store.liveness import this_process

        desk, ports, snapshot = self._desk, self._ports, self._snapshot
        assert ports is not None
        assert snapshot is not None
        try:
            recover(ports, wait_s=desk.options.wait_s, progress=desk.terminal.step)
            plan = plan_rollback(ports, ports.target.snapshot())
            rollout = roll_back(
                ports,
                plan,
                actor=this_process(),
                purpose="rollback-checks",
                reason=verdict.reason,
                progress=desk.terminal.step,
            )
        except DeployGateError as error:
            ending = ending_for(error)
            return replace(
                ending,
                verdict="ROLL_BACK",
                state="JUDGED",
                others=verdict.reasons,
                reason=replace(ending.reason, sentence=f"could not roll back: {error.message}"),
            )
        rollout.record = _with_verdict(rollout.record, verdict)
        with contextlib.suppress(DeployGateError):
            rollout.update(rollout.record)
        desk.config.hook.pytest_deploygate_finished(config=desk.config, rollout=rollout.record)
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
                else f"rolled back from {plan.serving} to {plan.to}",
                f"url: {snapshot.url}",
            ),
        )
