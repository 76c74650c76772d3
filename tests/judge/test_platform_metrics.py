"""What the platform measured reaches the evidence: how long it is waited for, when not, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_deploygate.channel.messages import (
    AttemptEnded,
    Began,
    Collected,
    CollectedCheck,
    Hello,
    Measured,
    Part,
)
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.config.environment import StatisticsWindow
from pytest_deploygate.core.identifiers import Phase, RevisionName
from pytest_deploygate.core.measurement import Measurement, Sample
from pytest_deploygate.core.minute_counts import MinuteSeries
from pytest_deploygate.core.policy import Trigger
from pytest_deploygate.core.verdict import ReasonCode, judge_phase
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from pytest_deploygate.judge.platform_metrics import PlatformMetricsCollector
from tests.core.policy_factory import a_gate, a_policy, a_trigger
from tests.fakes import FakeClock

SERVING, VERIFY = RevisionName("svc-00002-two"), RevisionName("svc-00003-ver")
DEPLOYMENT = Deployment(
    environment="e",
    phase=Phase.LIVE,
    function="svc",
    verification=Endpoint(url="http://verify", revision=VERIFY),
    live=Endpoint(url="http://live", revision=SERVING),
)
MEMORY = a_trigger("memory_usage_mb > 1500", "memory_kills > 0", name="memory")
ERRORS = a_trigger("error_rate > 0.10", name="errors", needed_in=())
NODE = "g.py::test_one"


@dataclass
class FakeMetrics:
    """Tells ``figures`` by revision once ``late_s`` have passed since it was made; ``problems`` always."""

    clock: FakeClock
    figures: Mapping[RevisionName, Mapping[str, float]]
    lag_s: int = 240
    period_s: int = 60
    late_s: float = 0
    problems: tuple[str, ...] = ()
    asked: list[tuple[RevisionName, int]] = field(default_factory=list)
    _made_at: float = 0

    def __post_init__(self) -> None:
        self._made_at = self.clock.monotonic()

    def sample(self, revision: RevisionName, window_s: int) -> Sample:
        self.asked.append((revision, window_s))
        is_known = self.clock.monotonic() - self._made_at >= self.late_s
        told = self.figures.get(revision, {}) if is_known else {}
        return Sample(
            measurements=tuple(Measurement.of(n, v, revision=revision) for n, v in told.items()),
            problems=self.problems,
        )

    def minutes(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        raise AssertionError("only steps ask for minutes")


@dataclass
class Session:
    """A session whose one check of ``phase`` has run; measures nothing itself unless told."""

    triggers: tuple[Trigger, ...] = (MEMORY, ERRORS)
    phase: Phase = Phase.LIVE
    outcome: str = "passed"
    measures: Mapping[str, float] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.policy = a_policy(a_gate("g", phase=self.phase), triggers=self.triggers)
        self.recorder = EvidenceLedger(self.policy, Path("/"))
        check = CollectedCheck(NODE, "/g/test_g.py", (), "")
        parts = tuple(
            Part(when, self.outcome if when == "call" else "passed", False, False)
            for when in ("setup", "call", "teardown")
        )
        measured = tuple(Measured(name, value, "") for name, value in self.measures.items())
        self.recorder.running_phase = self.phase
        for message in (
            Hello("session", 1, "", "/", 0, ()),
            Collected((check,), ()),
            Began(0),
            AttemptEnded(0, parts, measured, {}),
        ):
            self.recorder.hear(1, 1, message)
        self.notes: dict[str, str] = {}
        self.context = SimpleNamespace(
            settings=SimpleNamespace(policy=self.policy),
            environment=SimpleNamespace(statistics=StatisticsWindow(window_s=900)),
            recorder=self.recorder,
            terminal=SimpleNamespace(
                step=lambda name, text: self.steps.append(f"{name}: {text}"),
                line=lambda text, **_: self.steps.append(text),
            ),
            note=self.notes.__setitem__,
        )

    def add(self, metrics: FakeMetrics | None) -> tuple[ReasonCode, ...]:
        """What the phase comes to with the platform's figures."""
        PlatformMetricsCollector(cast("SessionContext", self.context), metrics, self.clock).add(
            self.phase, DEPLOYMENT
        )
        verdict = judge_phase(self.policy, self.recorder.evidence(self.phase))
        return tuple(reason.code for reason in verdict.reasons)


FINE = {"memory_usage_mb": 200.0, "memory_kills": 0.0, "error_rate": 0.01}


def test_serving_revision_is_asked_for_all_and_its_verification_revision_for_memory() -> None:
    session = Session()
    figures = {SERVING: FINE, VERIFY: {"memory_usage_mb": 1600.0, "error_rate": 0.9}}
    metrics = FakeMetrics(session.clock, figures)
    assert session.add(metrics) == (ReasonCode.TRIGGER_FIRED,)
    assert metrics.asked == [(SERVING, 900), (VERIFY, 900)]
    measured = session.recorder.evidence(Phase.LIVE).measurements
    assert sorted((m.name, float(m.value), m.revision) for m in measured) == [
        ("error_rate", 0.01, SERVING),
        ("memory_kills", 0.0, SERVING),
        ("memory_usage_mb", 200.0, SERVING),
        ("memory_usage_mb", 1600.0, VERIFY),
    ]
    assert session.clock.slept == []


def test_figures_that_are_late_are_waited_for_until_they_are_there() -> None:
    session = Session()
    assert session.add(FakeMetrics(session.clock, {SERVING: FINE}, late_s=200)) == (
        ReasonCode.HELD,
    )
    assert 200 <= sum(session.clock.slept) < 220
    assert session.steps[0] == (
        "statistics: waiting for memory_kills, memory_usage_mb, at most 300 s"
    )
    assert len([step for step in session.steps if "waiting" in step]) == 1


def test_figures_that_never_come_leave_the_phase_unknown() -> None:
    session = Session()
    assert session.add(FakeMetrics(session.clock, {})) == (ReasonCode.TRIGGER_UNKNOWN,)
    assert 300 <= sum(session.clock.slept) <= 315
    assert session.notes == {"live.statistics": "no monitoring data for the last 15 minutes"}


def test_what_the_checks_measured_is_not_waited_for() -> None:
    session = Session(measures={"memory_usage_mb": 150, "memory_kills": 0})
    assert session.add(FakeMetrics(session.clock, {})) == (ReasonCode.HELD,)
    assert session.clock.slept == []


@pytest.mark.parametrize("lag_s", [0, 240])
def test_a_phase_that_failed_goes_back_without_waiting(lag_s: int) -> None:
    session = Session(outcome="failed")
    codes = session.add(FakeMetrics(session.clock, {}, lag_s=lag_s))
    assert ReasonCode.GATE_FAILED in codes
    assert session.clock.slept == []


def test_a_trigger_that_fires_on_what_is_known_is_not_kept_waiting_for_the_rest() -> None:
    session = Session()
    metrics = FakeMetrics(session.clock, {SERVING: {"error_rate": 0.5}})
    assert ReasonCode.TRIGGER_FIRED in session.add(metrics)
    assert session.clock.slept == []


def test_without_a_lag_nothing_is_waited_for() -> None:
    session = Session()
    metrics = FakeMetrics(session.clock, {}, lag_s=0)
    assert session.add(metrics) == (ReasonCode.TRIGGER_UNKNOWN,)
    assert session.clock.slept == []


@pytest.mark.parametrize(
    ("measures", "code"),
    [
        ({}, ReasonCode.TRIGGER_UNKNOWN),
        ({"memory_usage_mb": 150, "memory_kills": 0}, ReasonCode.HELD),
    ],
)
def test_an_api_that_fails_is_said_and_decides_nothing(
    measures: dict[str, float], code: ReasonCode
) -> None:
    session = Session(measures=measures)
    metrics = FakeMetrics(session.clock, {}, problems=("reading the log of r: 403: denied",))
    assert session.add(metrics) == (code,)
    assert session.clock.slept == []
    said = "the platform's statistics could not be read: reading the log of r: 403: denied"
    assert session.notes == {"live.statistics": said}
    assert session.steps == [f"deploygate: note: {said}"]


def test_in_the_candidate_phase_only_what_a_trigger_needs_there_is_asked_for() -> None:
    idle = Session(phase=Phase.CANDIDATE)
    metrics = FakeMetrics(idle.clock, {VERIFY: FINE})
    assert idle.add(metrics) == (ReasonCode.HELD,)
    assert metrics.asked == []

    needy = a_trigger("memory_usage_mb > 100", name="m", needed_in=(Phase.CANDIDATE,))
    session = Session(phase=Phase.CANDIDATE, triggers=(needy, ERRORS))
    metrics = FakeMetrics(session.clock, {VERIFY: {**FINE, "error_rate": 0.9}}, late_s=60)
    assert session.add(metrics) == (ReasonCode.TRIGGER_FIRED,)
    assert {revision for revision, _ in metrics.asked} == {VERIFY}
    names = {m.name for m in session.recorder.evidence(Phase.CANDIDATE).measurements}
    assert names == {"memory_usage_mb"}


def test_where_there_is_nobody_to_ask_nothing_happens() -> None:
    session = Session()
    assert session.add(None) == (ReasonCode.TRIGGER_UNKNOWN,)
    assert session.steps == []
