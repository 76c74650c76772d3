"""``--deploy-resume``: carries a rollout that waits at a step one step on, and leaves or ends it."""

from typing import Final

from pytest_deploygate.core.errors import ConfigError, ExitStatus, PolicyRefused
from pytest_deploygate.core.ratchet import find_looser
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.detached import find_detached, resume
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.staging import staged_of
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.flows.deploy_flow import DeployFlow
from pytest_deploygate.judge.flows.flow_interface import recover_open_rollouts
from pytest_deploygate.judge.platform_metrics import open_statistics
from pytest_deploygate.judge.policy_ratchet import recorded_policy
from pytest_deploygate.judge.preconditions import check_gates_are_complete
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.judge.result import FINAL_VERDICT
from pytest_deploygate.wiring import open_ports

_HISTORY: Final = 20
_STATUS: Final = {State.PROMOTED: ExitStatus.OK, State.STRANDED: ExitStatus.STRANDED}


class ResumeFlow(DeployFlow):
    """Carries a detached rollout on; whoever comes late finds how it ended."""

    def __init__(self, context: SessionContext) -> None:
        super().__init__(context)
        self._late: RolloutRecord | None = None

    def _run(self) -> None:
        context = self._context
        check_gates_are_complete(context)
        ports = self._stack.enter_context(open_ports(context.settings, context.environment))
        recover_open_rollouts(context, ports)
        record = find_detached(ports)
        if record is None:
            self._find_last_deployment(ports)
            return
        context.statistics = open_statistics(context, ports.clock)
        context.remember(ports.store.last_promoted(ports.environment))
        self._check_same_release(ports, record)
        self._carry_on(ports, record)

    def _carry_on(self, ports: Ports, record: RolloutRecord) -> None:
        from pytest_deploygate.system.process_identity import this_process

        context, package = self._context, ports.target.package()
        with context.signals.defer_signals():
            rollout = resume(
                ports,
                record,
                actor=this_process(),
                package=package,
                permits=self._permits,
                progress=context.terminal.step,
            )
            if rollout is None:
                self._find_last_deployment(ports)
                return
            self._hold(rollout)
        if context.watch is not None:
            context.watch.watch_source(package, ports.target.package)
        context.terminal.step(
            "rollout", f"{record.rollout_id} to {ports.environment} at {record.step_percent} %"
        )
        self._staged = staged_of(rollout.record, rollout.snapshot)
        self._walk(rollout)

    def _check_same_release(self, ports: Ports, record: RolloutRecord) -> None:
        """Raise unless this checkout is what began the rollout: other checks would judge another promise.

        Raises:
            ConfigError: source, settings or checks differ.
            PolicyRefused: the policy is looser.
        """
        context = self._context
        assert context.watch is not None
        differing = [
            what
            for what, now, then in (
                ("the source", ports.target.package().digest, record.digest),
                ("the settings", context.environment.config_digest, record.config_digest),
                ("the checks", context.watch.suite_digest, record.checks_digest),
            )
            if now != then
        ]
        if differing:
            raise ConfigError(
                f"rollout {record.rollout_id} cannot be carried on from here: "
                f"{' and '.join(differing)} differ from those that began it",
                hint="check out the commit that was deployed, then run this again",
            )
        looser = find_looser(
            record.policy, recorded_policy(context), record.inventory, context.recorder.inventory
        )
        if looser:
            raise PolicyRefused(
                f"less is asked than when the rollout began: {'; '.join(looser)}",
                hint="check out the commit that was deployed, then run this again",
            )

    def _find_last_deployment(self, ports: Ports) -> None:
        """Nothing waits at a step: the last deployment says how it ended."""
        deployments = (
            record
            for record in ports.store.history(ports.environment, _HISTORY)
            if record.purpose == "deploy" and record.state.is_final
        )
        self._late = next(deployments, None)
        if self._late is None:
            raise ConfigError(
                f"no rollout waits at a step in {ports.environment}, and none has ended there",
                hint=f"begin one: pytest --deploy-to={ports.environment} --deploy-detach",
            )

    def _conclude(self, *, is_complete: bool) -> SessionResult:
        late = self._late
        if late is None or self._error is not None:
            return super()._conclude(is_complete=is_complete)
        code = ReasonCode(late.reason_code) if late.reason_code else ReasonCode.COULD_NOT_ACT
        return SessionResult(
            verdict=FINAL_VERDICT[late.state],
            state=late.state.value,
            reason=Reason(code=code, sentence=late.reason),
            status=_STATUS.get(late.state, ExitStatus.FAILED),
            record=late,
            lines=(
                f"nothing waits at a step; this is how rollout {late.rollout_id} ended",
                f"serving: {late.serving or 'nothing'}",
            ),
        )
