"""What a deployment would find before it touches anything: the same for ``--deploy-plan`` and ``deploygate plan``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_deploygate.config.display import WrittenSetting, written_policy, written_settings
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.setting_changes import (
    SettingChanges,
    find_changes,
    recorded_settings,
)
from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.documentation import STRANDED_HELP
from pytest_deploygate.core.errors import PolicyRefused, TargetRefused
from pytest_deploygate.core.identifiers import Digest
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.record import lease_held_error
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.detached import is_detached, waiting_hint, waiting_sentence
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.judge import preconditions


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """A deployment as it would begin now. ``digest`` is what an approval names; ``gcloud`` says it all in its words."""

    snapshot: Snapshot
    package: Package
    digest: Digest
    is_unchanged: bool
    findings: tuple[PreflightFinding, ...]
    gcloud: tuple[str, ...]
    settings: tuple[WrittenSetting, ...]
    changes: SettingChanges | None
    """Settings that differ from those of what serves; None where they were not recorded."""

    @property
    def count(self) -> str:
        """How many settings change, and whether the source does, in one line."""
        is_changed = self.snapshot.rollout_labels.digest != self.package.digest[:63]
        if self.changes is None:
            source = "changes" if is_changed else "is the same"
            return f"Plan: the settings of {self.snapshot.baseline} were not recorded; the source {source}"
        return self.changes.count_line(is_source_changed=is_changed)

    @property
    def blocking(self) -> tuple[PreflightFinding, ...]:
        """What would end it before anything is touched."""
        return tuple(f for f in self.findings if f.is_blocking)


def build_plan(
    ports: Ports, environment: Environment, policy: Policy, *, reason: str = "", approval: str = ""
) -> DeployPlan:
    """Find out what a deployment with that ``reason`` and ``approval`` would do; changes nothing.

    Raises:
        DeployGateError: it cannot be found out.
    """
    snapshot, package = ports.target.snapshot(), ports.target.package()
    config = environment.config_digest
    digest = plan_digest(
        package=package.digest,
        config=config,
        policy=policy,
        baseline=snapshot.baseline,
        steps=environment.engine.steps,
        is_fresh=environment.engine.has_fresh_baseline,
    )
    is_unchanged = snapshot.is_release(package.digest, config)
    findings = [*preconditions.find_preflight(ports, environment), *_record_findings(ports)]
    if not is_unchanged:
        findings += _rule_findings(ports, environment, snapshot, package, reason)
    is_approved = approval.strip().lower() == digest
    if not is_unchanged and environment.needs_approval and not is_approved:
        need = "it needs the approval of this plan"
        hint = f"--deploy-approval={digest}"
        findings.append(PreflightFinding(is_blocking=False, sentence=need, hint=hint))
    settings = tuple(written_settings(environment, Path.cwd()))
    return DeployPlan(
        snapshot=snapshot,
        package=package,
        digest=digest,
        is_unchanged=is_unchanged,
        findings=tuple(findings),
        gcloud=_gcloud(ports, environment, snapshot) if environment.is_known_to_gcloud else (),
        settings=settings,
        changes=_setting_changes(ports, snapshot, settings, policy),
    )


def _gcloud(ports: Ports, environment: Environment, snapshot: Snapshot) -> tuple[str, ...]:
    commands = ports.target.gcloud_commands(snapshot, environment.engine.percents)
    if not environment.engine.has_fresh_baseline:
        return commands
    note = "# no fresh baseline: gcloud cannot copy a revision with all its settings"
    return (*commands, note)


def _setting_changes(
    ports: Ports, snapshot: Snapshot, settings: tuple[WrittenSetting, ...], policy: Policy
) -> SettingChanges | None:
    now = recorded_settings(settings)
    judging = recorded_settings(tuple(written_policy(policy)))
    if not snapshot.exists:
        return find_changes({}, now | judging)
    baseline = snapshot.baseline
    last = ports.store.promotion_of(ports.environment, baseline) if baseline is not None else None
    if last is None or not last.settings:
        return None
    if last.policy is None:
        return find_changes(last.settings, now)
    judged = recorded_settings(tuple(written_policy(last.policy.policy)))
    return find_changes({**last.settings, **judged}, now | judging)


def _record_findings(ports: Ports) -> Iterator[PreflightFinding]:
    """Who holds the lease, and what is open."""
    name = ports.environment
    held = ports.store.lease(name)
    if held is not None:
        error = lease_held_error(held)
        yield PreflightFinding(is_blocking=False, sentence=error.message, hint=error.hint)
    for record in ports.store.open_rollouts(name):
        if is_detached(record, ports.clock.now()):
            yield PreflightFinding(
                is_blocking=True, sentence=waiting_sentence(record), hint=waiting_hint(name)
            )
            continue
        is_stranded = record.state is State.STRANDED
        yield PreflightFinding(
            is_blocking=is_stranded,
            sentence=f"rollout {record.rollout_id} is {record.state.value}",
            hint=STRANDED_HELP
            if is_stranded
            else "if its process is dead, a deployment recovers it first; or: "
            f"deploygate recover {name}",
        )


def _rule_findings(
    ports: Ports, environment: Environment, snapshot: Snapshot, package: Package, reason: str
) -> Iterator[PreflightFinding]:
    """What the guards of a deployment would say."""
    rules: list[Callable[[], None]] = []
    if snapshot.exists:
        # a deployment that runs is no obstacle: a rollout waits for its end
        now = snapshot._replace(is_settled=True)
        rules.append(lambda: preconditions.check_baseline_is_known_good(ports, now))
    if not reason:
        config = environment.config_digest
        rules.append(
            lambda: preconditions.check_digest_is_not_known_bad(ports, package.digest, config)
        )
    rules.append(lambda: preconditions.check_not_frozen(environment, ports.clock.now()))
    for rule in rules:
        try:
            rule()
        except (PolicyRefused, TargetRefused) as error:
            yield PreflightFinding(is_blocking=True, sentence=error.message, hint=error.hint)
