"""What must be right before a rollout touches anything; each guard says what to do when it is not."""

from datetime import datetime

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.errors import ConfigError, PolicyRefused, TargetRefused
from pytest_deploygate.core.freeze import frozen_until
from pytest_deploygate.core.identifiers import Digest, Phase
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.verdict import ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.policy_ratchet import check_ratchet

_JUDGED_BAD = frozenset(
    code.value
    for code in (
        ReasonCode.GATE_FAILED,
        ReasonCode.TRIGGER_FIRED,
        ReasonCode.SCORE_BELOW_THRESHOLD,
        ReasonCode.WORSE_THAN_BASELINE,
        ReasonCode.REQUESTED,
    )
)
"""Reasons that speak of the release itself, and not of the circumstances of its rollout."""


def check_preconditions(context: SessionContext, ports: Ports, rollout: Rollout) -> None:
    """Raise for whatever makes this rollout unfit to begin.

    Raises:
        ConfigError: an override names no gate, or a setting cannot be deployed.
        TargetRefused: the platform is not in a state to deploy to.
        PolicyRefused: a rule of evidence is broken (a looser policy, a release known to be bad), the environment is
            frozen, or the plan is not approved.
    """
    _overrides(context)
    findings = find_preflight(ports, context.environment)
    for finding in findings:
        if not finding.is_blocking:
            note = f"deploygate: note: {finding.sentence}; {finding.hint}"
            context.terminal.line(note.rstrip("; "), yellow=True)
    blocking = [f for f in findings if f.is_blocking]
    if blocking:
        kind = ConfigError if all(f.is_setting for f in blocking) else TargetRefused
        raise kind(
            "; ".join(f.sentence for f in blocking),
            hint="; ".join(f.hint for f in blocking if f.hint),
        )
    if rollout.snapshot.exists:
        check_baseline_is_known_good(ports, rollout.snapshot)
    if not (context.options.reason or rollout.is_unchanged):
        check_digest_is_not_known_bad(
            ports, rollout.package.digest, context.environment.config_digest
        )
    check_ratchet(context, ports, rollout.snapshot)
    if not rollout.is_unchanged:
        check_not_frozen(context.environment, ports.clock.now())
        digest = plan_digest(
            package=rollout.package.digest,
            config=context.environment.config_digest,
            policy=context.settings.policy,
            baseline=rollout.snapshot.baseline,
            is_fresh=context.environment.engine.has_fresh_baseline,
            steps=context.environment.engine.steps,
        )
        check_approval(context.environment, digest, context.options.approval)
        if context.environment.needs_approval:
            rollout.update(rollout.record._replace(approval=digest))


def check_serving_is_whole(ports: Ports, snapshot: Snapshot) -> None:
    """Raise TargetRefused where what serves is not one revision, or is being changed."""
    environment = ports.environment
    if not snapshot.is_settled:
        raise TargetRefused(
            "the platform is still carrying out another deployment of this function",
            hint="wait until it has ended, then run this again",
        )
    if snapshot.exists and snapshot.baseline is None:
        raise TargetRefused(
            f"traffic is split: {snapshot.serving}, so there is no single baseline to return to",
            hint="give all traffic to the revision that is good: "
            f"deploygate rollback {environment} --to REVISION --reason TEXT",
        )


def find_preflight(ports: Ports, environment: Environment) -> tuple[PreflightFinding, ...]:
    """Findings of the target; a hint to type a command of gcloud that cannot work is left out."""
    return tuple(
        finding
        if environment.is_known_to_gcloud or "gcloud " not in finding.hint
        else finding._replace(hint="")
        for finding in ports.target.preflight()
    )


def check_baseline_is_known_good(ports: Ports, snapshot: Snapshot) -> None:
    """Raise TargetRefused where what serves is not one revision that was judged good and could be returned to."""
    check_serving_is_whole(ports, snapshot)
    environment, baseline = ports.environment, snapshot.baseline
    assert baseline is not None
    if not snapshot.is_marked_good and not ports.store.is_known_good(environment, baseline):
        raise TargetRefused(
            f"revision {baseline} serves, but was never verified by deploygate; it cannot be the baseline",
            hint=f"if it is good, adopt it: deploygate adopt {environment} {baseline} --reason TEXT",
        )


def check_digest_is_not_known_bad(ports: Ports, digest: Digest, config: Digest) -> None:
    """Raise PolicyRefused where the latest verdict on this source with these settings is bad."""
    bad = ports.store.is_known_bad(ports.environment, digest)
    if bad is not None and bad.reason_code in _JUDGED_BAD and bad.config_digest == config:
        raise PolicyRefused(
            f"this very release was rolled back before (rollout {bad.rollout_id}): {bad.reason}",
            hint="change it, or say why it may be tried again: --deploy-reason=TEXT",
        )


def check_not_frozen(environment: Environment, now: datetime) -> None:
    """Raise PolicyRefused, saying until when, where a freeze window of ``environment`` holds at ``now`` (aware)."""
    frozen = frozen_until(environment.freeze, now)
    if frozen is not None:
        window, end = frozen
        raise PolicyRefused(
            f"environment {environment.name} is frozen until {end:%Y-%m-%d %H:%M} UTC ({window.text})",
            hint="deploy after that, or change tool.deploygate.environments."
            f"{environment.name}.freeze; going back is never frozen: deploygate rollback {environment.name}",
        )


def check_approval(environment: Environment, digest: Digest, approval: str) -> None:
    """Raise PolicyRefused where ``environment`` asks for an approval and ``approval`` is not that of ``digest``."""
    if not environment.needs_approval or approval.strip().lower() == digest:
        return
    wrong = f"the approval {approval} is of another plan" if approval else "nobody approved it"
    raise PolicyRefused(
        f"environment {environment.name} needs an approval of this plan, and {wrong}; the plan is {digest}",
        hint=f"look at it with: deploygate plan {environment.name}; then add --deploy-approval={digest}",
    )


def check_gates_are_complete(context: SessionContext) -> None:
    """Every required gate must have been collected with at least as many checks as it needs.

    Raises:
        ConfigError: names each gate that was not, and where its checks were looked for.
    """
    inventory = context.recorder.inventory
    percents = context.environment.engine.judged_percents
    for gate in context.settings.policy.gates:
        count = len(inventory[gate.name])
        if gate.phase is Phase.STEP:
            found = [check.step for check in context.recorder.checks if check.gate == gate.name]
            count = min(found.count(percent) for percent in percents)
        is_needed = gate.required and gate.enforce is Enforcement.BLOCK
        if is_needed and count < gate.least_checks:
            where = " ".join(gate.paths) or f"marker {gate.marker}"
            raise ConfigError(
                f"gate {gate.name} needs at least {gate.least_checks} checks, {count} were collected ({where})",
                hint="pytest --collect-only shows what is collected; the gate's settings are in "
                f"[tool.deploygate.gates.{gate.name}]",
            )


def _overrides(context: SessionContext) -> None:
    names = {gate.name for gate in context.settings.policy.gates}
    for gate, _ in context.options.overrides:
        if gate not in names:
            raise ConfigError(
                f"--deploy-override={gate}: there is no such gate",
                hint=f"gates: {', '.join(sorted(names))}",
            )
