"""What a page on one rollout shows, taken from its record, its journal and the promotions before it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import (
    BASELINE_SIDE,
    Measurement,
    group_measurements,
)
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.core.record import (
    STEP_NOTE,
    EntryKind,
    JournalEntry,
    RecordedStep,
    RolloutRecord,
)
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Outcome

PROMOTIONS = 20
"""How many promotions before it a measurement is held against."""
MOODS: Mapping[str, str] = {
    **dict.fromkeys((State.PROMOTED.value, Outcome.PASSED.value), "good"),
    **dict.fromkeys((State.STRANDED.value, Outcome.FAILED.value), "bad"),
}
DOUBTFUL = "doubtful"


class ShownCheck(NamedTuple):
    """One check; ``why`` is how it failed first."""

    nodeid: str
    state: str
    why: str


class ShownGate(NamedTuple):
    """One gate: what it came to, and its checks, those that did not pass apart."""

    name: str
    phase: str
    outcome: str
    score: str
    threshold: str
    bad: Sequence[ShownCheck]
    passed: Sequence[str]
    mood: str

    @property
    def is_open(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.bad)


class ShownNumber(NamedTuple):
    """A measurement, what it is held against, and its values in the promotions before, oldest first."""

    phase: str
    name: str
    value: float
    unit: str
    source: str
    bounds: Sequence[str]
    limits: Sequence[float]
    before: Sequence[float]
    mood: str


class BaselineComparison(NamedTuple):
    """A measurement of the candidate beside the same of what served before."""

    name: str
    baseline: float
    candidate: float
    unit: str

    @property
    def change(self) -> str:
        """By how much it grew, in percent."""
        if not self.baseline:
            return "" if not self.candidate else "new"
        return f"{(self.candidate - self.baseline) / abs(self.baseline) * 100:+.1f} %"


class ShownStep(NamedTuple):
    """A judged step; ``sentences`` are the reason, and what each gate and objective came to."""

    percent: int
    decision: str
    mood: str
    candidate_requests: int
    baseline_requests: int
    seconds: float
    sentences: Sequence[str]


class Segment(NamedTuple):
    """A time that the rollout spent in one state; ``percent`` is its share of the whole."""

    state: str
    began_at: datetime
    seconds: float
    percent: float


class RolloutPage(NamedTuple):
    """Everything that the page shows."""

    record: RolloutRecord
    state: str
    mood: str
    gates: Sequence[ShownGate]
    steps: Sequence[ShownStep]
    numbers: Sequence[ShownNumber]
    comparisons: Sequence[BaselineComparison]
    timeline: Sequence[Segment]
    traffic: Sequence[JournalEntry]
    journal: Sequence[JournalEntry]
    journal_problem: str
    left_out: Sequence[tuple[str, str]]
    orders: Sequence[tuple[str, str]]
    """What operators ordered at steps, with who, when and why."""


def rollout_page(
    record: RolloutRecord,
    *,
    policy: Policy,
    journal: Sequence[JournalEntry],
    journal_problem: str = "",
    promotions: Sequence[RolloutRecord] = (),
) -> RolloutPage:
    """The page of ``record``; ``promotions`` are those before it in its environment, newest first."""
    return RolloutPage(
        record=record,
        state=record.state.value,
        mood=MOODS.get(record.state.value, DOUBTFUL),
        gates=tuple(_gates(record, policy)),
        steps=tuple(map(_shown_step, record.steps)),
        numbers=tuple(_numbers(record, policy, promotions[:PROMOTIONS])),
        comparisons=tuple(_comparisons(record, promotions)),
        timeline=tuple(_timeline(record, journal)),
        traffic=[e for e in journal if e.kind is EntryKind.INTENT and "shift" in e.name],
        journal=journal,
        journal_problem=journal_problem,
        left_out=tuple(_left_out(record)),
        orders=tuple(_orders(record)),
    )


def _gates(record: RolloutRecord, policy: Policy) -> Iterator[ShownGate]:
    known = {gate.name: gate for gate in policy.gates}
    why = record.failures
    for name, checks in record.inventory.items():
        gate, recorded = known.get(name), record.gates.get(name)
        bad = [
            ShownCheck(nodeid=c, state=record.not_passed[c].value, why=why.get(c, ""))
            for c in checks
            if c in record.not_passed
        ]
        outcome = recorded.outcome.value if recorded is not None else "not run"
        yield ShownGate(
            name=name,
            phase=gate.phase.value if gate is not None else "",
            outcome=outcome,
            score=str(recorded.score) if recorded is not None else f"{len(checks)} checks",
            threshold=f"{float(gate.threshold):g}" if gate is not None else "",
            bad=sorted(bad, key=lambda check: check.state == CheckState.NOT_RUN.value),
            passed=[c for c in checks if c not in record.not_passed] if recorded else [],
            mood=MOODS.get(outcome, DOUBTFUL),
        )


def _shown_step(step: RecordedStep) -> ShownStep:
    found = (*step.gates.values(), *step.objectives.values())
    # the reason to advance is made of these sentences
    told = () if set(step.reason.split("; ")) <= set(found) else (step.reason,)
    mood = {"advance": "good", "abort": "bad"}.get(step.decision, DOUBTFUL)
    return ShownStep(
        percent=step.percent,
        decision=f"{step.decision}, undecided" if step.is_undecided else step.decision,
        mood=DOUBTFUL if step.is_undecided else mood,
        candidate_requests=step.candidate_requests,
        baseline_requests=step.baseline_requests,
        seconds=step.seconds,
        sentences=(*told, *found),
    )


def _numbers(
    record: RolloutRecord, policy: Policy, promotions: Sequence[RolloutRecord]
) -> Iterator[ShownNumber]:
    conditions = [c for trigger in policy.triggers for c in trigger.conditions]
    for phase, measured in record.measurements.items():
        for series in group_measurements(measured):
            one = series.first
            own = [c for c in conditions if c.metric == one.name and one.side != BASELINE_SIDE]
            fired = any(c.comparison.holds(v, c.bound) for c in own for v in series.values)
            yield ShownNumber(
                phase=phase.value,
                name=one.name,
                value=float(series.mean),
                unit=one.unit,
                source=series.source,
                bounds=[c.text for c in own],
                limits=[float(c.bound) for c in own],
                before=_means_before(phase, one, promotions),
                mood="bad" if fired else "good" if own else "",
            )


def _means_before(
    phase: Phase, one: Measurement, promotions: Sequence[RolloutRecord]
) -> Sequence[float]:
    """Of each promotion the mean of the same name and side by the same check, or by the platform; oldest first."""
    found: list[float] = []
    for earlier in reversed(promotions):
        same = [
            float(series.mean)
            for series in group_measurements(earlier.measurements.get(phase, ()))
            if (series.first.name, series.first.check, series.first.side)
            == (one.name, one.check, one.side)
        ]
        found += same[:1]
    return found


def _comparisons(
    record: RolloutRecord, promotions: Sequence[RolloutRecord]
) -> Iterator[BaselineComparison]:
    """What the candidate phase measured, beside the same of the promotion that made the baseline."""
    made = next((p for p in promotions if p.candidate == record.baseline), None)
    if made is None:
        return
    before = _means(made.measurements.get(Phase.CANDIDATE, ()))
    for name, (value, unit) in _means(record.measurements.get(Phase.CANDIDATE, ())).items():
        if name in before:
            yield BaselineComparison(name, float(before[name][0]), float(value), unit)


def _means(measured: Sequence[Measurement]) -> dict[str, tuple[Fraction, str]]:
    found: dict[str, list[Measurement]] = {}
    for one in measured:
        found.setdefault(one.name, []).append(one)
    return {
        name: (sum((m.value for m in some), Fraction()) / len(some), some[0].unit)
        for name, some in found.items()
    }


def _timeline(record: RolloutRecord, journal: Sequence[JournalEntry]) -> Iterator[Segment]:
    moves = [e for e in journal if e.kind is EntryKind.MOVED]
    ended_at = record.ended_at or (journal[-1].at if journal else record.began_at)
    total = (ended_at - record.began_at).total_seconds()
    starts = [(State.OPEN.value, record.began_at), *((e.state.value, e.at) for e in moves)]
    for (state, began_at), (_, until) in zip(starts, [*starts[1:], ("", ended_at)], strict=True):
        seconds = max((until - began_at).total_seconds(), 0)
        if seconds or state == record.state.value:
            share = round(100 * seconds / total, 2) if total else 0
            yield Segment(state, began_at, seconds, share)


def _orders(record: RolloutRecord) -> Iterator[tuple[str, str]]:
    for name, text in record.notes.items():
        if name.startswith(STEP_NOTE):
            percent, _, order = name.removeprefix(STEP_NOTE).partition(".")
            yield (f"{order} at {percent} %", text)


def _left_out(record: RolloutRecord) -> Iterator[tuple[str, str]]:
    """What nobody should think was shown."""
    for state in (CheckState.NOT_RUN, CheckState.SKIPPED):
        count = sum(found is state for found in record.not_passed.values())
        if count:
            yield (state.value, f"{count} checks")
    if record.unfinished:
        yield ("clean-up", record.unfinished)
    for name, text in record.notes.items():
        if name.startswith("known_defect."):
            yield ("known defect", text)
        elif name == "allowed_secrets":
            yield ("looks like a secret, packed all the same", text)
