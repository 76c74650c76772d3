"""The watch after the last step: triggers on the candidate's figures, and no evidence is never a pass."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import cast

from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.measurement import Measurement, Sample
from pytest_deploygate.core.minute_counts import MinuteSeries
from pytest_deploygate.core.policy import Trigger
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.serving_watch import watch_serving
from tests.core.policy_factory import a_trigger
from tests.fakes import FakeClock

CANDIDATE = RevisionName("svc-2")
SHOWN: list[str] = []
TRIGGER = a_trigger("error_rate > 0.10", name="errors")


@dataclass
class ServingFigures:
    """Tells ``error_rate`` from ``bad_after_s`` on as bad, or a problem."""

    clock: FakeClock
    bad_after_s: float = 1e9
    problem: str = ""
    lag_s: int = 240
    period_s: int = 60
    windows: list[int] = field(default_factory=list)
    began: float = 1000.0

    def sample(self, revision: RevisionName, window_s: int) -> Sample:
        assert revision == CANDIDATE
        self.windows.append(window_s)
        if self.problem:
            return Sample(problems=(self.problem,))
        is_bad = self.clock.monotonic() - self.began >= self.bad_after_s
        told = {"request_count": 10 * window_s, "error_rate": 0.2 if is_bad else 0.01}
        return Sample(
            measurements=tuple(Measurement.of(n, v, revision=CANDIDATE) for n, v in told.items())
        )

    def minutes(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        raise AssertionError("there is no baseline to compare with")


def watch(
    metrics: ServingFigures | None,
    clock: FakeClock,
    trigger: Trigger = TRIGGER,
    doubts: tuple[str, ...] = (),
) -> tuple[RecordedStep, Reason | None, dict[str, str]]:
    context = SimpleNamespace(
        settings=SimpleNamespace(policy=SimpleNamespace(triggers=(trigger,))),
        recorder=SimpleNamespace(doubts=doubts),
        terminal=SimpleNamespace(
            step=lambda name, text: None, line=lambda text, **_: SHOWN.append(text)
        ),
        signals=SimpleNamespace(deliver_signals=nullcontext),
        session=SimpleNamespace(wait=clock.sleep),
    )
    rollout = SimpleNamespace(
        step=TrafficStep(percent=100, watch=Duration(900)),
        record=SimpleNamespace(candidate=CANDIDATE),
        ports=SimpleNamespace(clock=clock),
    )
    return watch_serving(cast("SessionContext", context), metrics, cast("Rollout", rollout))


def test_a_quiet_candidate_is_watched_for_the_whole_time() -> None:
    clock = FakeClock()
    metrics = ServingFigures(clock)
    recorded, reason, _ = watch(metrics, clock)
    assert reason is None
    assert (recorded.percent, recorded.decision) == (100, "advance")
    assert 900 + 240 <= recorded.seconds <= 900 + 240 + 60
    assert recorded.candidate_requests >= 9000
    # figures of the time before the candidate had the traffic are not looked at, but for the shortest window
    assert min(metrics.windows) == 60
    assert max(metrics.windows) <= recorded.seconds - 240


def test_a_trigger_ends_the_watch_at_once() -> None:
    clock = FakeClock()
    recorded, reason, _ = watch(ServingFigures(clock, bad_after_s=400), clock)
    assert reason is not None
    assert (reason.code, reason.subject) == (ReasonCode.TRIGGER_FIRED, "errors")
    assert recorded.decision == "abort"
    assert recorded.seconds < 500


def test_a_trigger_that_warns_does_not_and_is_told_once_and_kept() -> None:
    clock = FakeClock()
    warns = replace(TRIGGER, enforce=Enforcement.WARN)
    SHOWN.clear()
    recorded, reason, warned = watch(ServingFigures(clock, bad_after_s=0), clock, warns)
    assert (recorded.decision, reason) == ("advance", None)
    assert "error_rate is 0.2" in warned["trigger.errors"]
    assert [f"deploygate: warning: {warned['trigger.errors']}"] == SHOWN


def test_figures_that_cannot_be_read_at_the_end_are_a_reason_to_go_back() -> None:
    clock = FakeClock()
    for metrics in (ServingFigures(clock, problem="503 UNAVAILABLE"), None):
        recorded, reason, _ = watch(metrics, clock)
        assert reason is not None
        assert reason.code is ReasonCode.STEP_UNDECIDED
        assert recorded.decision == "abort"


def test_a_doubt_about_the_session_ends_the_watch() -> None:
    clock = FakeClock()
    recorded, *_ = watch(ServingFigures(clock), clock, doubts=("a worker died",))
    assert recorded.seconds == 0
