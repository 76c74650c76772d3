"""The policy ratchet: what is promoted asks no less than the last promotion did, unless an operator says why."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from pytest_deploygate.core.errors import PolicyRefused
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.ratchet import Inventory, RecordedPolicy, find_looser
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.source_scan import find_unchecked_files

_HINT = "restore it, or say why it is enough: --deploy-reason=TEXT"


def recorded_policy(context: SessionContext, before: RolloutRecord | None = None) -> RecordedPolicy:
    """What the record remembers of the policy of this session.

    Of steps that an operator left out for this one rollout it remembers what the settings say, and what is known of
    their checks from the promotion ``before``: the next promotion must not begin with less.
    """
    policy, root = context.settings.policy, context.settings.root
    engine, left_out = context.environment.engine, context.settings.left_out
    known, had = _policy_and_inventory(before)
    kept = {gate.name: had[gate.name] for gate in left_out if gate.name in had}
    own = {check for checks in kept.values() for check in checks}
    defects = {check: text for check, text in known.known_defects.items() if check in own}
    unchecked = [*find_unchecked_files(root, policy, context.recorder.files)]
    unchecked += [one for one in known.unchecked_files if left_out and one not in unchecked]
    return RecordedPolicy(
        policy=replace(policy, gates=(*policy.gates, *left_out)),
        steps=engine.left_out or engine.steps,
        approval=context.environment.approval,
        known_defects={**defects, **context.recorder.known_defects},
        unchecked_files=tuple(unchecked),
        left_out_checks=kept,
    )


def _policy_and_inventory(record: RolloutRecord | None) -> tuple[RecordedPolicy, Inventory]:
    """Policy and inventory of ``record``, also of the gates that it left out; both empty where there is none."""
    policy = record.policy if record is not None else None
    policy = policy or RecordedPolicy(policy=Policy(gates=(), phases={}))
    inventory = record.inventory if record is not None else {}
    return policy, {**policy.left_out_checks, **inventory}


def check_ratchet(context: SessionContext, ports: Ports, snapshot: Snapshot) -> None:
    """Compare policy and checks with those of the last promotion; list each point that is looser.

    Raises:
        PolicyRefused: something is looser, and no reason was given.
    """
    finding = find_ratchet(context, ports)
    if ports.store.last_promoted(ports.environment) is None and snapshot.exists:
        absent = _absent(ports)
        context.note("record", absent)
        context.terminal.line(f"deploygate: note: {absent}", yellow=True)
    if finding is None:
        return
    if finding.is_blocking:
        raise PolicyRefused(finding.sentence, hint=finding.hint)
    context.note("looser_policy", finding.sentence)
    context.terminal.line(f"deploygate: note: {finding.sentence}", yellow=True)


def check_judged(
    context: SessionContext, ports: Ports, phases: Collection[Phase]
) -> PreflightFinding | None:
    """What a session that judges what serves asks less, in ``phases``, than its promotion did.

    Without it, checks that vanished would count as checks that hold. Where an operator said why, it is noted.
    """
    last = ports.store.last_promoted(ports.environment)
    if last is None:
        context.note("record", _absent(ports))
        return None
    has = context.recorder.inventory
    gates = [gate.name for gate in context.settings.policy.gates if gate.phase in phases]
    own = {check for name in gates for check in has[name]}
    defects = context.recorder.known_defects
    now = RecordedPolicy(
        policy=context.settings.policy,
        known_defects={check: text for check, text in defects.items() if check in own},
    )
    before, had = last.policy, last.inventory
    if before is not None:
        policy = before.policy.of_phases(phases)
        before = replace(before, policy=policy, steps=None, approval=now.approval)
        names = {gate.name for gate in before.policy.gates}
        had = {gate: checks for gate, checks in had.items() if gate in names}
    finding = _finding_of_looser(context, last, find_looser(before, now, had, has))
    if finding is not None and not finding.is_blocking:
        context.note("looser_policy", finding.sentence)
    return finding


def find_ratchet(context: SessionContext, ports: Ports) -> PreflightFinding | None:
    """All points in which this session asks less than the last promotion; blocking without a reason."""
    last = ports.store.last_promoted(ports.environment)
    now, (_, had) = recorded_policy(context, last), _policy_and_inventory(last)
    has = {**now.left_out_checks, **context.recorder.inventory}
    looser = find_looser(last.policy if last is not None else None, now, had, has)
    return _finding_of_looser(context, last, looser)


def _finding_of_looser(
    context: SessionContext, last: RolloutRecord | None, looser: Sequence[str]
) -> PreflightFinding | None:
    if not looser:
        return None
    since = f"less is asked than at the last promotion ({last.rollout_id})" if last else "unchecked"
    is_blocking = not context.options.reason
    return PreflightFinding(
        is_blocking=is_blocking,
        sentence=f"{since}: {'; '.join(looser)}",
        hint=_HINT if is_blocking else "",
    )


def _absent(ports: Ports) -> str:
    return (
        f"no promotion to {ports.environment} is on record here, so policy and checks are "
        "compared with nothing"
    )
