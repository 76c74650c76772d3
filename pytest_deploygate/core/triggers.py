"""Rollback triggers: conditions on measurements that end a rollout whatever the gates show."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique

from pytest_deploygate.core.check_title import check_title
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import BASELINE_SIDE, Measurement
from pytest_deploygate.core.policy import Condition, Trigger


@unique
class Firing(Enum):
    """Result of a trigger: FIRED, QUIET, or UNKNOWN if a value that it needs was not measured."""

    FIRED = "fired"
    QUIET = "quiet"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerResult:
    """One evaluated trigger; ``sentence`` names the condition and the worst value, or the missing measurement."""

    trigger: Trigger
    firing: Firing
    sentence: str


def evaluate(
    triggers: tuple[Trigger, ...], phase: Phase, measurements: tuple[Measurement, ...]
) -> tuple[TriggerResult, ...]:
    """Evaluate every trigger on every measurement; the most severe first, then in the order of the policy."""
    results = [_evaluate_one(trigger, phase, measurements) for trigger in triggers]
    return tuple(
        sorted(results, key=lambda r: (r.firing is not Firing.FIRED, r.trigger.severity.rank))
    )


def warnings_of(results: Iterable[TriggerResult]) -> dict[str, str]:
    """By name, why triggers with ``enforce = "warn"`` would abort."""
    return {
        f"trigger.{one.trigger.name}": one.sentence
        for one in results
        if one.firing is Firing.FIRED and one.trigger.enforce is Enforcement.WARN
    }


def lacks_measurement(triggers: tuple[Trigger, ...], measurements: tuple[Measurement, ...]) -> bool:
    """Whether a trigger that decides has a condition on something that was not measured."""
    known = {one.name for one in measurements}
    return any(
        condition.metric not in known
        for trigger in triggers
        if trigger.enforce is Enforcement.BLOCK
        for condition in trigger.conditions
    )


def _evaluate_one(
    trigger: Trigger, phase: Phase, measurements: tuple[Measurement, ...]
) -> TriggerResult:
    missing: list[str] = []
    for condition in trigger.conditions:
        # What a check measured of the baseline, to compare with, is not the candidate's fault.
        values = [m for m in measurements if m.name == condition.metric and m.side != BASELINE_SIDE]
        bad = [m for m in values if condition.comparison.holds(m.value, condition.bound)]
        if bad:
            return TriggerResult(
                trigger=trigger, firing=Firing.FIRED, sentence=_describe(trigger, condition, bad)
            )
        if not values:
            missing.append(condition.metric)
    if missing and phase in trigger.needed_in:
        needs = f"trigger {trigger.name} needs {', '.join(missing)}"
        sentence = f"{needs}, which was not measured in the {phase.value} phase"
        return TriggerResult(trigger=trigger, firing=Firing.UNKNOWN, sentence=sentence)
    return TriggerResult(
        trigger=trigger, firing=Firing.QUIET, sentence=f"trigger {trigger.name} is quiet"
    )


def _describe(trigger: Trigger, condition: Condition, bad: list[Measurement]) -> str:
    worst = max(bad, key=lambda m: abs(m.value - condition.bound))
    what = f"trigger {trigger.name} ({trigger.severity.value}) fired"
    by = f"platform: {worst.revision}" if worst.is_by_platform else check_title(worst.check)
    return f"{what}: {condition.metric} is {worst.text} ({by}), and {condition.text}"
