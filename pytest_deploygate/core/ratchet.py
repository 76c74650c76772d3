"""What a release was promoted with, and in which points another policy is looser: by name, never by number.

Stricter is free. Each point in which the policy or its checks became looser is listed, and needs an operator's reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.policy import Asking, Comparison, Condition, Gate, Leniency, Policy

_APPROVALS: Final = ("", "none", "required", "step")
"""Values of ``approval``, each of which asks no less than those before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPolicy:
    """The policy that judged a rollout, without what says where its checks are, and what was exempted from it.

    ``known_defects`` maps each marked check to last day and reason, ``unchecked_files`` are those below the path of a
    gate that came to no check.
    """

    policy: Policy
    known_defects: Mapping[str, str] = field(default_factory=dict)
    unchecked_files: tuple[str, ...] = ()
    steps: tuple[TrafficStep, ...] | None = None
    """The steps of the settings; None in records of before they were kept."""
    approval: str = ""
    """The environment's ``approval``; empty in records of before it was kept."""
    left_out_checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Check ids by gate of the steps that were left out (``--deploy-steps=none``), as of the promotion before."""


Inventory = Mapping[str, tuple[str, ...]]
"""Check ids by gate."""


def find_looser(
    before: RecordedPolicy | None, now: RecordedPolicy, had: Inventory, has: Inventory
) -> tuple[str, ...]:
    """A sentence for each point in which ``now`` (with the checks ``has``) asks less than ``before`` (with ``had``).

    ``before`` is None where nothing is remembered: then only what never was agreed to is listed.
    """
    found = [*_missing_checks(had, has)]
    if before is not None:
        gates = {gate.name: gate for gate in now.policy.gates}
        for gate in before.policy.gates:
            if gate.name not in gates:
                found.append(f"gate {gate.name} is gone")
            else:
                found += _looser_gate(gate, gates[gate.name])
        found += _lighter_gates(before.policy, now.policy)
        found += _looser_phases(before.policy, now.policy)
        found += _looser_triggers(before.policy, now.policy)
        found += _looser_objectives(before.policy, now.policy)
        found += _looser_steps(before.steps or (), now.steps or ())
        if _APPROVALS.index(now.approval) < _APPROVALS.index(before.approval):
            found.append(f'approval was "{before.approval}", is "{now.approval}"')
        found += _more_defects(before.known_defects, now.known_defects)
    known = before.unchecked_files if before is not None else ()
    found += [
        f"{name} is below the path of a gate, but no check was collected from it"
        for name in now.unchecked_files
        if name not in known
    ]
    return tuple(found)


def _missing_checks(had: Inventory, has: Inventory) -> Iterator[str]:
    gate_of = {check: gate for gate, checks in has.items() for check in checks}
    for gate, checks in had.items():
        for check in checks:
            if check not in gate_of:
                yield f"check {check} of gate {gate} is gone"
            elif gate_of[check] != gate:
                yield f"check {check} went from gate {gate} to gate {gate_of[check]}"


def _looser_gate(old: Gate, new: Gate) -> Iterator[str]:
    where = f"gate {old.name}"
    if new.phase is not old.phase:
        yield f"{where} went from the {old.phase.value} phase to the {new.phase.value} phase"
    if new.threshold < old.threshold:
        yield f"{where}: threshold was {_number(old.threshold)}, is {_number(new.threshold)}"
    if new.least_checks < old.least_checks:
        yield f"{where}: least-checks was {old.least_checks}, is {new.least_checks}"
    if old.required and not new.required:
        yield f"{where}: it was required, and is not"
    for name, was, is_now in (
        ("skips", old.skips, new.skips),
        ("flaky", old.flaky, new.flaky),
    ):
        if was is Leniency.FAIL and is_now is Leniency.ALLOW:
            yield f'{where}: {name} was "{was.value}", is "{is_now.value}"'
    yield from _looser_enforcement(where, old.enforce, new.enforce)
    if old.asks is Asking.CLIENTS and new.asks is not Asking.CLIENTS:
        yield f'{where}: asks was "{old.asks.value}", is "{new.asks.value}"'


def _lighter_gates(old: Policy, new: Policy) -> Iterator[str]:
    """Of the gates that were there: which of them has a smaller share in the ratio of its phase."""
    for phase in Phase:
        now = {gate.name: gate.weight for gate in new.gates_of(phase)}
        was = {gate.name: gate.weight for gate in old.gates_of(phase) if gate.name in now}
        total_was = sum(was.values(), Fraction(0))
        total_now = sum((now[name] for name in was), Fraction(0))
        for name, weight in was.items():
            share, share_now = weight / total_was, now[name] / total_now
            if share_now < share:
                yield (
                    f"gate {name}: its share in the {phase.value} phase was {_number(share)}, "
                    f"is {_number(share_now)}"
                )


def _looser_phases(old: Policy, new: Policy) -> Iterator[str]:
    for phase, was in old.phases.items():
        now = new.phases[phase]
        if now.threshold < was.threshold:
            yield (
                f"{phase.value} phase: threshold was {_number(was.threshold)}, "
                f"is {_number(now.threshold)}"
            )
        if now.budget_s > was.budget_s:
            yield f"{phase.value} phase: budget-s was {was.budget_s}, is {now.budget_s}"


def _looser_triggers(old: Policy, new: Policy) -> Iterator[str]:
    now = {trigger.name: trigger for trigger in new.triggers}
    for trigger in old.triggers:
        if trigger.name not in now:
            yield f"trigger {trigger.name} is gone"
            continue
        yield from _looser_enforcement(
            f"trigger {trigger.name}", trigger.enforce, now[trigger.name].enforce
        )
        conditions = now[trigger.name].conditions
        for condition in trigger.conditions:
            if not any(_covers(one, condition) for one in conditions):
                told = ", ".join(one.text for one in conditions)
                yield f"trigger {trigger.name}: it fired when {condition.text}, now when {told}"
        for phase in trigger.needed_in:
            if phase not in now[trigger.name].needed_in:
                yield f"trigger {trigger.name}: its measurements are not needed in the {phase.value} phase any more"


def _looser_objectives(old: Policy, new: Policy) -> Iterator[str]:
    now = {objective.name: objective for objective in new.objectives}
    for was in old.objectives:
        where = f"objective {was.name}"
        found = now.get(was.name)
        if found is None:
            yield f"{where} is gone"
            continue
        if _identity(found) != _identity(was):
            yield f"{where}: it compares something else"
        elif (
            found.worse_by.is_ratio is not was.worse_by.is_ratio
            or found.worse_by.amount > was.worse_by.amount
        ):
            yield f"{where}: worse-by was {was.worse_by}, is {found.worse_by}"
        if found.confidence < was.confidence:
            yield f"{where}: confidence was {_number(was.confidence)}, is {_number(found.confidence)}"
        yield from _looser_enforcement(where, was.enforce, found.enforce)


def _identity(one: Objective) -> tuple[object, ...]:
    return one.metric, one.quantile, one.better, one.up_to


def _looser_steps(old: tuple[TrafficStep, ...], new: tuple[TrafficStep, ...]) -> Iterator[str]:
    now = {step.percent: step for step in new}
    for was in old:
        where = f"step of {was.percent} %"
        found = now.get(was.percent)
        if was.wait and (found is None or not found.wait):
            yield f"{where}: it waited for {was.wait}, and does not"
            continue
        if was.watch and (found is None or (found.watch or 0) < was.watch):
            is_now = found.watch if found is not None and found.watch else "none"
            yield f"{where}: watch was {was.watch}, is {is_now}"
        if not was.wait or found is None:
            continue
        if (found.wait or 0) < was.wait:
            yield f"{where}: for was {was.wait}, is {found.wait}"
        if found.least_requests < was.least_requests:
            yield f"{where}: least-requests was {was.least_requests}, is {found.least_requests}"
        if (was.undecided, found.undecided) == ("roll-back", "advance"):
            yield f'{where}: undecided was "roll-back", is "advance"'


def _looser_enforcement(where: str, was: Enforcement, is_now: Enforcement) -> Iterator[str]:
    if was is Enforcement.BLOCK and is_now is Enforcement.WARN:
        yield f"{where}: it decided, and only warns"


def _covers(new: Condition, old: Condition) -> bool:
    """Whether ``new`` holds for every value for which ``old`` does."""
    if new.metric != old.metric:
        return False
    downwards = (Comparison.BELOW, Comparison.AT_MOST)
    if (new.comparison in downwards) is not (old.comparison in downwards):
        return False
    if new.bound == old.bound:
        return new.comparison is old.comparison or new.comparison in (
            Comparison.AT_MOST,
            Comparison.AT_LEAST,
        )
    return new.bound > old.bound if new.comparison in downwards else new.bound < old.bound


def _more_defects(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for check, text in new.items():
        if check not in old:
            yield f"check {check} is marked as a known defect {text}"
        elif _last_day(text) > _last_day(old[check]):
            yield f"check {check}: its known defect was accepted {_last_day(old[check])}, now {text}"


def _last_day(text: str) -> str:
    """``until 2026-12-31`` of ``until 2026-12-31: reason``: texts of ISO dates sort like days."""
    return text.partition(":")[0]


def _number(value: Fraction) -> str:
    return f"{float(value):g}"
