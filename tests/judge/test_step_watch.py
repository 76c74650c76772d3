"""A step as the judge watches it: what it asks, when it looks again, what it says, and what keeps it."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_deploygate.core.comparison import StepDecision
from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.freeze import parse
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.mean_test import Pair
from pytest_deploygate.core.measured_comparison import MeasuredPairs
from pytest_deploygate.core.measurement import Measurement, Sample
from pytest_deploygate.core.minute_counts import MinuteCounts, MinuteSeries
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.step_command import CommandKind, StepCommand
from pytest_deploygate.core.step_decision import StepVerdict
from pytest_deploygate.core.verdict import ReasonCode
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.session_process import SessionOver
from pytest_deploygate.judge.step_orders import StepOrders
from pytest_deploygate.judge.step_watch import StepWatch, recorded_step
from tests.core.policy_factory import a_trigger
from tests.fakes import FakeClock

BASELINE, CANDIDATE = RevisionName("svc-1"), RevisionName("svc-2")
ERRORS = Objective(name="errors", metric="error_rate", worse_by=Margin.parse("1pp"))
STEP = TrafficStep(percent=5, wait=Duration(600), at_most=Duration(1200), least_requests=100)
PER_MINUTE = {CANDIDATE: MinuteCounts(100, 1), BASELINE: MinuteCounts(1900, 19)}
BAD = {**PER_MINUTE, CANDIDATE: MinuteCounts(100, 8)}


@dataclass
class StepFigures:
    """Every minute is as ``per_minute`` says; ``asked`` has revision, begin and number of minutes."""

    clock: FakeClock
    per_minute: Mapping[RevisionName, MinuteCounts]
    lag_s: int = 240
    period_s: int = 60
    problem: str = ""
    measured: tuple[Measurement, ...] = ()
    unread: str = ""
    """Why ``measured`` has not all of them."""
    measured_until_s: float = 1e9
    asked: list[tuple[RevisionName, datetime, int]] = field(default_factory=list)

    def minutes(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        self.asked.append((revision, begin, count))
        end = begin + timedelta(seconds=count * self.period_s)
        is_visible = end <= self.clock.now() - timedelta(seconds=self.lag_s)
        assert is_visible or not count or revision == BASELINE
        if self.problem:
            return MinuteSeries(problems=(self.problem,))
        return MinuteSeries(minutes=(self.per_minute[revision],) * count)

    def sample(self, revision: RevisionName, window_s: int) -> Sample:
        assert (revision, window_s >= 60) == (CANDIDATE, True)
        is_over = self.clock.monotonic() - FakeClock().monotonic() >= self.measured_until_s
        measured = () if is_over else self.measured
        return Sample(measurements=measured, problems=(self.unread,) if self.unread else ())


@dataclass
class Watched:
    """A rollout at its first step, and what is around it."""

    step: TrafficStep = STEP
    freeze: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    approval: str = "none"
    fresh: RevisionName | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    shown: list[str] = field(default_factory=list)
    wait: Callable[[float], None] | None = None
    objectives: tuple[Objective, ...] = (ERRORS,)
    measured: Mapping[str, MeasuredPairs] = field(default_factory=dict)
    enforce: Enforcement = Enforcement.BLOCK
    warned: Mapping[str, str] = field(default_factory=dict)
    orders: Callable[[float], tuple[StepCommand, ...]] = lambda _: ()
    """By the seconds since the step began, what operators have ordered."""

    def watch(self, metrics: StepFigures | None) -> StepVerdict:
        trigger = a_trigger("memory_usage_mb > 1500", name="memory")
        trigger = replace(trigger, enforce=self.enforce)
        context = SimpleNamespace(
            settings=SimpleNamespace(
                policy=SimpleNamespace(objectives=self.objectives, triggers=(trigger,))
            ),
            environment=SimpleNamespace(
                name="production",
                freeze=tuple(map(parse, self.freeze)),
                approval=self.approval,
            ),
            recorder=SimpleNamespace(doubts=self.doubts),
            terminal=SimpleNamespace(
                step=lambda name, text: self.shown.append(f"{name}: {text}"),
                line=lambda text, **_: self.shown.append(text),
            ),
            signals=SimpleNamespace(deliver_signals=nullcontext),
            telemetry=SimpleNamespace(notify_channels=lambda: None),
            session=SimpleNamespace(wait=self.wait or self.clock.sleep),
        )
        record = SimpleNamespace(
            candidate=CANDIDATE, baseline=BASELINE, fresh_baseline=self.fresh, rollout_id="one"
        )
        began = self.clock.monotonic()
        store = SimpleNamespace(step_commands=lambda _: self.orders(self.clock.monotonic() - began))
        ports = SimpleNamespace(clock=self.clock, store=store)
        rollout = SimpleNamespace(step=self.step, record=record, ports=ports)
        known = cast("Rollout", rollout)
        judge = cast("SessionContext", context)
        orders = StepOrders(known)
        watch = StepWatch(judge, metrics, known, orders, measured=self.measured)
        try:
            return watch.watch()
        finally:
            self.warned = watch.warnings


def test_a_step_advances_when_its_figures_cover_the_time_and_decide() -> None:
    watched = Watched()
    metrics = StepFigures(watched.clock, PER_MINUTE)
    verdict = watched.watch(metrics)
    assert verdict.decision is StepDecision.ADVANCE
    # it is decided by minutes that are not younger than the lag
    assert verdict.look.covered_s >= 600
    assert verdict.look.elapsed_s >= verdict.look.covered_s + metrics.lag_s
    recorded = recorded_step(verdict)
    assert (recorded.percent, recorded.decision) == (5, "advance")
    minutes = int(verdict.look.covered_s / 60)
    assert (recorded.candidate_requests, recorded.baseline_requests) == (
        100 * minutes,
        1900 * minutes,
    )
    assert "not worse by 1pp or more" in recorded.objectives["errors"]
    assert "advance after" in watched.shown[-1]


def test_both_sides_are_asked_about_the_same_whole_minutes_after_the_shift() -> None:
    watched = Watched()
    watched.clock.advance(17)
    began = watched.clock.now()
    metrics = StepFigures(watched.clock, PER_MINUTE)
    watched.watch(metrics)
    (history, _, sixty), *looks = metrics.asked
    assert (history, sixty) == (BASELINE, 60)
    for candidate, baseline in zip(looks[::2], looks[1::2], strict=True):
        assert (candidate[0], baseline[0]) == (CANDIDATE, BASELINE)
        assert candidate[1:] == baseline[1:]
        assert candidate[1].second == 0
    first = looks[0][1]
    assert began <= first < began + timedelta(seconds=60)


def test_a_fresh_baseline_is_compared_with_and_what_served_before_tells_the_history() -> None:
    fresh = RevisionName("svc-3")
    watched = Watched(fresh=fresh)
    metrics = StepFigures(watched.clock, {**PER_MINUTE, fresh: MinuteCounts(100, 1)})
    verdict = watched.watch(metrics)
    history, *looks = metrics.asked
    assert history[0] == BASELINE
    assert {revision for revision, _, _ in looks} == {CANDIDATE, fresh}
    assert verdict.look.baseline_requests == verdict.look.candidate_requests


ACCURACY = Objective(
    name="accuracy", metric="price_accuracy", worse_by=Margin.parse("5pp"), better="higher"
)


def measuring(candidate: float, enforce: Enforcement = Enforcement.BLOCK) -> Watched:
    """A step whose checks measured 80 times an accuracy of 0.97 of the baseline, and this of the candidate."""
    pairs = MeasuredPairs(pairs=(Pair(candidate, 0.97),) * 80)
    accuracy = replace(ACCURACY, enforce=enforce)
    return Watched(objectives=(ERRORS, accuracy), measured={"accuracy": pairs})


def test_what_checks_measured_advances_with_the_figures_of_the_platform() -> None:
    watched = measuring(0.97)
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE
    told = recorded_step(verdict).objectives
    assert "not worse by 5pp or more: 0.97 against 0.97" in told["accuracy"]
    assert "not worse by 1pp or more" in told["errors"]


def test_what_checks_measured_aborts_at_once_also_where_no_figures_come() -> None:
    verdict = measuring(0.6).watch(None)
    assert (verdict.decision, verdict.reason.code) == (
        StepDecision.ABORT,
        ReasonCode.WORSE_THAN_BASELINE,
    )
    assert verdict.look.elapsed_s == 0
    assert "accuracy: worse by more than 5pp" in verdict.reason.sentence


def test_each_objective_that_let_a_step_advance_has_a_line_of_its_own() -> None:
    watched = measuring(0.97)
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE
    first, errors, accuracy = watched.shown[-3:]
    assert first.startswith("step 5 %: advance after ")
    assert first.endswith(" requests")
    assert errors.startswith("  errors: not worse by ")
    assert accuracy.startswith("  accuracy: not worse by ")


def test_a_held_step_shows_the_interval_also_if_something_else_holds_it() -> None:
    watched = Watched(step=STEP._replace(least_requests=100_000))
    watched.watch(StepFigures(watched.clock, PER_MINUTE))
    nothing_yet, *_ = watched.shown
    assert "the candidate had 0 requests" in nothing_yet
    at = next(n for n, line in enumerate(watched.shown) if "had 700 requests" in line)
    assert watched.shown[at].startswith("step 5 %: hold after ")
    assert watched.shown[at + 1].startswith("  errors: ")
    assert "pp [" in watched.shown[at + 1]
    assert "errors" not in watched.shown[1]


def test_what_no_check_measured_is_never_a_pass() -> None:
    watched = Watched(objectives=(ERRORS, ACCURACY))
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert "accuracy: no check measured price_accuracy" in verdict.reason.sentence


def test_a_measured_objective_that_only_warns_decides_nothing() -> None:
    watched = measuring(0.6, Enforcement.WARN)
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE
    assert "worse by more than 5pp" in verdict.look.warnings["objective.accuracy"]
    assert len(watched.shown) > 2
    assert sum("warning: accuracy: worse" in line for line in watched.shown) == 1
    unmeasured = Watched(objectives=(ERRORS, replace(ACCURACY, enforce=Enforcement.WARN)))
    verdict = unmeasured.watch(StepFigures(unmeasured.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE


def test_each_minute_is_asked_for_once_so_that_one_that_is_forgotten_is_not_lost() -> None:
    watched = Watched()
    metrics = StepFigures(watched.clock, PER_MINUTE)
    verdict = watched.watch(metrics)
    _, *looks = metrics.asked
    of_candidate = [(begin, count) for name, begin, count in looks if name == CANDIDATE]
    expected = of_candidate[0][0]
    for begin, count in of_candidate:
        assert begin == expected
        expected = begin + timedelta(minutes=count)
    minutes = sum(count for _, count in of_candidate)
    assert verdict.look.candidate_requests == 100 * minutes


def test_a_bad_candidate_is_aborted_before_the_time_of_the_step() -> None:
    watched = Watched()
    verdict = watched.watch(StepFigures(watched.clock, BAD))
    assert (verdict.decision, verdict.reason.code) == (
        StepDecision.ABORT,
        ReasonCode.WORSE_THAN_BASELINE,
    )
    assert verdict.look.covered_s < 600


def test_a_trigger_on_the_candidate_aborts() -> None:
    watched = Watched()
    metrics = StepFigures(watched.clock, PER_MINUTE)
    metrics.measured = (Measurement.of("memory_usage_mb", 1600, unit="MB", revision=CANDIDATE),)
    assert watched.watch(metrics).reason.code is ReasonCode.TRIGGER_FIRED


def test_a_trigger_that_only_warns_is_kept_also_if_it_is_quiet_again_at_the_end() -> None:
    watched = Watched(enforce=Enforcement.WARN)
    metrics = StepFigures(watched.clock, PER_MINUTE, measured_until_s=450)
    metrics.measured = (Measurement.of("memory_usage_mb", 1600, unit="MB", revision=CANDIDATE),)
    verdict = watched.watch(metrics)
    assert verdict.decision is StepDecision.ADVANCE
    assert not verdict.look.warnings
    assert "memory_usage_mb is 1600 MB" in watched.warned["trigger.memory"]
    assert sum("warning: trigger memory" in line for line in watched.shown) == 1


def test_a_trigger_whose_figure_cannot_be_read_is_never_a_pass() -> None:
    watched = Watched()
    metrics = StepFigures(watched.clock, PER_MINUTE, unread="403 on memory")
    verdict = watched.watch(metrics)
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert "figures cannot be read: 403 on memory" in verdict.reason.sentence
    for lenient in (
        Watched(enforce=Enforcement.WARN),  # it decides nothing
        Watched(objectives=(ERRORS,)),
    ):
        figures = replace(metrics, clock=lenient.clock)
        if lenient.enforce is Enforcement.BLOCK:  # what cannot be read is something else
            figures.measured = (
                Measurement.of("memory_usage_mb", 90, unit="MB", revision=CANDIDATE),
            )
        assert lenient.watch(figures).decision is StepDecision.ADVANCE


@pytest.mark.parametrize("per_minute", [{CANDIDATE: MinuteCounts(), BASELINE: MinuteCounts()}])
def test_without_requests_time_runs_out(per_minute: Mapping[RevisionName, MinuteCounts]) -> None:
    watched = Watched()
    verdict = watched.watch(StepFigures(watched.clock, per_minute))
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert "the candidate had 0 requests, the step needs 100" in verdict.reason.sentence
    assert 1200 + 240 <= verdict.look.elapsed_s <= 1200 + 240 + 120
    assert 10 < len(watched.shown) < 30


def test_figures_that_cannot_be_read_hold_and_then_abort() -> None:
    watched = Watched()
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE, problem="503 UNAVAILABLE"))
    assert verdict.decision is StepDecision.ABORT
    assert "figures cannot be read: 503 UNAVAILABLE" in verdict.reason.sentence


def test_a_target_without_figures_is_never_a_pass() -> None:
    verdict = Watched().watch(None)
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert "its target has no figures by minute" in verdict.reason.sentence


def test_a_freeze_that_began_holds_and_says_so() -> None:
    watched = Watched(freeze=("2020-01-01 - 2099-01-01 UTC",))
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ABORT
    assert "environment production is frozen until" in watched.shown[0]
    assert "hold after" in watched.shown[0]


def test_a_doubt_about_the_session_ends_the_watch_undecided() -> None:
    watched = Watched(doubts=("a worker died",))
    assert watched.watch(StepFigures(watched.clock, PER_MINUTE)).decision is StepDecision.HOLD


def test_a_session_that_ends_is_noticed() -> None:
    def over(_: float) -> None:
        raise SessionOver

    watched = Watched(wait=over)
    with pytest.raises(SessionOver):
        watched.watch(StepFigures(watched.clock, PER_MINUTE))


def test_short_periods_are_put_together_so_that_a_look_stays_cheap() -> None:
    watched = Watched(step=STEP._replace(wait=Duration(180)))
    per_second = {name: MinuteCounts(10, 0) for name in PER_MINUTE}
    verdict = watched.watch(StepFigures(watched.clock, per_second, lag_s=0, period_s=1))
    assert verdict.decision is StepDecision.ADVANCE
    assert verdict.look.covered_s % 15 == 0


def command(kind: CommandKind) -> StepCommand:
    return StepCommand(
        rollout_id=RolloutId("one"),
        environment=EnvironmentName("production"),
        percent=5,
        kind=kind,
        actor=Actor(user="ada", host="laptop", pid=1),
        reason="I look",
        at=FakeClock().now(),
    )


@pytest.mark.parametrize("kind", [CommandKind.ADVANCE, CommandKind.ABORT])
def test_what_an_operator_orders_is_seen_within_two_seconds(kind: CommandKind) -> None:
    given_at = 93.5
    watched = Watched(orders=lambda at: (command(kind),) if at >= given_at else ())
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision.value == kind.value
    assert given_at <= verdict.look.elapsed_s <= given_at + 2
    assert "by ada@laptop" in watched.shown[-1]


def test_an_operator_holds_a_step_that_would_advance_until_it_is_advanced() -> None:
    held, advanced = command(CommandKind.HOLD), command(CommandKind.ADVANCE)
    watched = Watched(orders=lambda at: (held, advanced) if at > 1100 else (held,))
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE
    assert verdict.look.elapsed_s > 1100
    assert "held by ada@laptop" in watched.shown[0]


def test_a_record_that_cannot_be_read_for_a_moment_changes_nothing() -> None:
    def orders(at: float) -> tuple[StepCommand, ...]:
        if at < 300:
            raise StoreError("locked")
        return (command(CommandKind.ABORT),)

    watched = Watched(orders=orders)
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.reason.code is ReasonCode.REQUESTED


def test_a_step_that_needs_an_approval_advances_when_it_is_given() -> None:
    approved = command(CommandKind.APPROVE)
    watched = Watched(approval="step", orders=lambda at: (approved,) if at > 1100 else ())
    verdict = watched.watch(StepFigures(watched.clock, PER_MINUTE))
    assert verdict.decision is StepDecision.ADVANCE
    assert verdict.look.elapsed_s > 1100
    wanted = "an operator must approve: deploygate approve production --reason TEXT"
    assert any(wanted in line for line in watched.shown)


def test_a_freeze_that_begins_between_looks_holds_from_then_on() -> None:
    clock = FakeClock()
    begins = clock.now() + timedelta(seconds=300)
    watched = Watched(clock=clock, freeze=(f"{begins:%Y-%m-%d %H:%M} - 2099-01-01 UTC",))
    verdict = watched.watch(StepFigures(clock, PER_MINUTE))
    assert (verdict.decision, verdict.is_undecided) == (StepDecision.ABORT, True)
    assert "is frozen until" not in watched.shown[0]
    assert "is frozen until" in verdict.reason.sentence
