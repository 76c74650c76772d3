"""Records to make pages of: a rollback with hostile texts, and promotions before it."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
    Severity,
)
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.policy import Condition, Gate, PhasePolicy, Policy, Trigger
from pytest_deploygate.core.record import (
    FAILURE_NOTE,
    EntryKind,
    JournalEntry,
    RecordedGate,
    RecordedStep,
    RolloutRecord,
    StepDetails,
)
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Outcome

BEGAN = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"
ANSI = "\x1b[31mred\x1b[0m \x07bell"
POLICY = Policy(
    gates=(
        Gate(name="health", phase=Phase.CANDIDATE, paths=("gates/health",)),
        Gate(name="accuracy", phase=Phase.CANDIDATE, paths=("gates/accuracy",)),
    ),
    phases={phase: PhasePolicy(threshold=Fraction(1), budget_s=300) for phase in Phase},
    triggers=(
        Trigger(
            name="slow",
            conditions=(Condition.parse("processing_time_s > 5"),),
            severity=Severity.HIGH,
        ),
    ),
)


def measured(seconds: float) -> dict[Phase, tuple[Measurement, ...]]:
    one = Measurement.of("processing_time_s", seconds, unit="s", check="gates/health/t.py::test_a")
    return {Phase.CANDIDATE: (one,)}


def promotion(number: int, seconds: float = 1.0) -> RolloutRecord:
    return RolloutRecord(
        rollout_id=RolloutId(f"2026112{number % 8}-0900{number:02}-aaaaaa"),
        environment=EnvironmentName("production"),
        purpose="deploy",
        actor=Actor(user="ada", host="ci", pid=1),
        began_at=BEGAN - timedelta(days=30 - number),
        ended_at=BEGAN - timedelta(days=30 - number) + timedelta(seconds=40 + number),
        state=State.PROMOTED,
        candidate=RevisionName(f"svc-{number:05}-abc"),
        serving=RevisionName(f"svc-{number:05}-abc"),
        reason="the live phase holds: 1.0000 of 1",
        measurements=measured(seconds),
    )


def rollback(checks: int = 3, **changed: object) -> RolloutRecord:
    """A rollout that was rolled back; texts of checks are hostile."""
    names = tuple(f"gates/accuracy/t.py::test_document[{n}]" for n in range(checks))
    hostile = f"gates/health/t.py::test_a[{MARKUP}]"
    record = RolloutRecord(
        rollout_id=RolloutId("20261128-090000-bbbbbb"),
        environment=EnvironmentName("production"),
        purpose="deploy",
        actor=Actor(user="ada", host="ci", pid=1),
        began_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=60),
        state=State.ROLLED_BACK,
        baseline=RevisionName("svc-00005-abc"),
        candidate=RevisionName("svc-00006-abc"),
        serving=RevisionName("svc-00005-abc"),
        reason=f"gate health failed: {MARKUP}",
        deploy_reason=ANSI,
        overrides={"accuracy": "'\"><script>alert(3)</script>"},
        inventory={"health": (hostile,), "accuracy": names},
        gates={
            "health": RecordedGate(score=Score(passed=0, counted=1), outcome=Outcome.FAILED),
            "accuracy": RecordedGate(
                score=Score(passed=checks, counted=checks), outcome=Outcome.PASSED
            ),
        },
        not_passed={hostile: CheckState.FAILED},
        steps=(
            RecordedStep(
                percent=5,
                decision="abort",
                reason=f"errors: worse by more than 1pp: {MARKUP}",
                seconds=61.5,
                candidate_requests=58,
                baseline_requests=1120,
            ),
        ),
        warnings={f"trigger.{MARKUP}": f"memory {ANSI}"},
        measurements=measured(7.5),
        rollback_s=2.0,
        url="javascript:alert(4)",
        notes={f"{FAILURE_NOTE}{hostile}": f"gates/health/t.py:3: AssertionError: {MARKUP} {ANSI}"},
    )
    return record._replace(**changed)  # type: ignore[arg-type]  # fields by name


def journal() -> tuple[JournalEntry, ...]:
    steps = (
        (5, EntryKind.MOVED, "stage", State.STAGING),
        (30, EntryKind.MOVED, "staged", State.STAGED),
        (50, EntryKind.INTENT, "shift", State.ROLLING_BACK),
        (51, EntryKind.MOVED, "roll_back", State.ROLLING_BACK),
        (60, EntryKind.MOVED, "restored", State.ROLLED_BACK),
    )
    return tuple(
        JournalEntry(
            sequence=number,
            at=BEGAN + timedelta(seconds=seconds),
            kind=kind,
            name=name,
            state=state,
            details=StepDetails(notes={"to": MARKUP}),
        )
        for number, (seconds, kind, name, state) in enumerate(steps)
    )
