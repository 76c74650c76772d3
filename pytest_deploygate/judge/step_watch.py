"""Watches one step of a promotion: asks the platform for both revisions over the same minutes, until it is decided.

The minutes begin with the first whole one after the shift, so what the gates asked of the candidate before is not among
them. Figures come late: a look sees what is older than the platform's lag, and time is up only that much later.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from pytest_deploygate.core.comparison import MinutePair, ObjectiveResult, StepDecision, compare
from pytest_deploygate.core.enforcement import Enforcement
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.errors import PolicyRefused
from pytest_deploygate.core.identifiers import Phase, RevisionName
from pytest_deploygate.core.measured_comparison import (
    MeasuredPairs,
    compare_measured,
    pair_measurements,
)
from pytest_deploygate.core.measurement import Sample
from pytest_deploygate.core.minute_counts import MinuteCounts, MinuteSeries, group_minutes
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.step_command import StepCommand
from pytest_deploygate.core.step_decision import StepLook, StepVerdict, decide_step
from pytest_deploygate.core.triggers import evaluate, lacks_measurement
from pytest_deploygate.core.verdict import ReasonCode
from pytest_deploygate.engine.finalize import require_revision
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.preconditions import check_not_frozen
from pytest_deploygate.judge.reporting.terminal import Terminal
from pytest_deploygate.judge.step_orders import POLL_S, StepOrders
from pytest_deploygate.ports import Clock, Metrics

_MOST_BLOCKS: Final = 240
"""Into how many blocks a step is divided at most; where minutes are shorter or more, some are put together."""
_HISTORY: Final = 60
"""How many periods of the baseline before the step sharpen the first bets."""
_LONGEST_POLL_S: Final = 60.0
_LINES: Final = 20
"""How many lines a step shows at most while nothing changes."""


class StepWatch:
    """One step, from the shift to its decision."""

    def __init__(
        self,
        context: SessionContext,
        metrics: Metrics | None,
        rollout: Rollout,
        orders: StepOrders,
        *,
        measured: Mapping[str, MeasuredPairs] = MappingProxyType({}),
        began_at: datetime | None = None,
        may_wait: bool = True,
    ) -> None:
        """``began_at`` is when the compared minutes began, where that was before; now otherwise.

        ``measured`` is what the checks of this step measured, by objective.
        """
        assert rollout.step is not None
        self._context = context
        self._metrics = metrics
        self._step: TrafficStep = rollout.step
        self._clock: Clock = rollout.ports.clock
        self._candidate = require_revision(rollout.record.candidate, "candidate")
        self._serving = require_revision(rollout.record.baseline, "baseline")
        self._baseline = rollout.record.fresh_baseline or self._serving
        self._objectives = context.settings.policy.objectives
        self._measured = {
            one: measured.get(one.name) or pair_measurements(one, ())
            for one in self._objectives
            if one.is_measured
        }
        self._period_s = metrics.period_s if metrics is not None else 60
        self._may_wait = may_wait
        self.began_at = began_at or self._clock.now()
        passed_s = max(0.0, (self._clock.now() - self.began_at).total_seconds())
        self._began_s = self._clock.monotonic() - passed_s
        self._first = _next_period(self.began_at, self._period_s)
        self._history: tuple[MinuteCounts, ...] = ()
        self._known: dict[RevisionName, list[MinuteCounts]] = {
            self._candidate: [],
            self._baseline: [],
        }
        self._shown_at = -math.inf
        self._orders = orders
        self._command = orders.read()
        self._shown_command: StepCommand | None = None
        self.warnings: dict[str, str] = {}
        """By name, why rules that only warn would have aborted, at whichever evaluation that was."""

    def watch(self) -> StepVerdict:
        """Look until the step advances or is aborted; look once where nobody may wait.

        Raises:
            SessionOver: the session ended meanwhile.
            KeyboardInterrupt: a signal came.
        """
        self._history = self._ask(
            self._serving, self._first - timedelta(seconds=_HISTORY * self._period_s), _HISTORY
        ).minutes
        while True:
            verdict = decide_step(self._look())
            keep_warnings(self._context.terminal, verdict.look.warnings, self.warnings)
            self._show(verdict)
            is_held = verdict.decision is StepDecision.HOLD
            if not (is_held and self._may_wait) or self._context.recorder.doubts:
                return verdict
            self._wait_for_figures()

    def _wait_for_figures(self) -> None:
        """Wait until there are figures of another period, or an operator orders something."""
        until = self._clock.monotonic() + min(self._period_s, _LONGEST_POLL_S)
        while (left_s := until - self._clock.monotonic()) > 0:
            with self._context.signals.deliver_signals():
                self._context.session.wait(min(POLL_S, left_s))
            command = self._orders.read()
            if command != self._command:
                self._command = command
                self._context.telemetry.notify_channels()
                return

    def _look(self) -> StepLook:
        """What is known now."""
        elapsed_s = self._clock.monotonic() - self._began_s
        look = StepLook(
            step=self._step,
            elapsed_s=elapsed_s,
            covered_s=0,
            blocked=self._why_blocked(),
            command=self._command,
            approval_command=self._approval_command(),
            results=self._measured_results(),
            unmeasured=self._why_unmeasured(),
        )
        metrics = self._metrics
        if metrics is None:
            return _with_problem(look, "its target has no figures by minute")
        until = self._clock.now() - timedelta(seconds=metrics.lag_s)
        count = max(0, int((until - self._first).total_seconds() // self._period_s))
        size = max(1, self._step.longest_s // (self._period_s * _MOST_BLOCKS))
        problems = [
            problem
            for revision in (self._candidate, self._baseline)
            for problem in self._read_minutes(revision, count)
        ]
        both = [self._known[revision] for revision in (self._candidate, self._baseline)]
        until_both = min(map(len, both))
        grouped = (group_minutes(tuple(one[:until_both]), size) for one in both)
        pairs = [MinutePair(*pair) for pair in zip(*grouped, strict=True)]
        triggers = self._context.settings.policy.triggers if count else ()
        window_s = max(60, count * self._period_s)
        sample = metrics.sample(self._candidate, window_s) if triggers else Sample()
        if lacks_measurement(triggers, sample.measurements):
            problems += sample.problems
        return replace(
            look,
            covered_s=len(pairs) * size * self._period_s,
            late_s=metrics.lag_s + self._period_s * size,
            candidate_requests=sum(pair.candidate.requests for pair in pairs),
            baseline_requests=sum(pair.baseline.requests for pair in pairs),
            results=tuple(
                compare(one, pairs, self._history, minute_s=size * self._period_s)
                for one in self._objectives
                if not one.is_measured
            )
            + look.results,
            triggers=evaluate(triggers, Phase.LIVE, sample.measurements),
            problem=problems[0] if problems else "",
        )

    def _measured_results(self) -> tuple[ObjectiveResult, ...]:
        return tuple(
            compare_measured(one, found.pairs)
            for one, found in self._measured.items()
            if not found.problem
        )

    def _why_unmeasured(self) -> str:
        """Why an objective that decides cannot be judged on what checks measured; empty if all can."""
        blocking = (
            found.problem
            for one, found in self._measured.items()
            if one.enforce is Enforcement.BLOCK
        )
        return next(filter(None, blocking), "")

    def _read_minutes(self, revision: RevisionName, count: int) -> tuple[str, ...]:
        """Add what is known of ``revision`` since the last look, up to ``count`` periods; what kept it from that.

        A period that was read is never asked for again: a platform that forgets old figures takes no evidence away.
        """
        known = self._known[revision]
        begin = self._first + timedelta(seconds=len(known) * self._period_s)
        series = self._ask(revision, begin, count - len(known))
        known.extend(series.minutes)
        return series.problems

    def _ask(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        return (
            MinuteSeries()
            if self._metrics is None
            else self._metrics.minutes(revision, begin, count)
        )

    def _approval_command(self) -> str:
        environment = self._context.environment
        if environment.approval != "step":
            return ""
        return f"deploygate approve {environment.name} --reason TEXT"

    def _why_blocked(self) -> str:
        """A freeze that began meanwhile keeps the step; going back is never frozen."""
        try:
            check_not_frozen(self._context.environment, self._clock.now())
        except PolicyRefused as error:
            return error.message
        return ""

    def _show(self, verdict: StepVerdict) -> None:
        """A line of what is known, now and then, and whenever the decision changes."""
        look = verdict.look
        is_due = look.elapsed_s - self._shown_at >= self._step.longest_s / _LINES
        is_due |= look.command != self._shown_command
        self._shown_command = look.command
        if verdict.decision is StepDecision.HOLD and not is_due:
            return
        self._shown_at = look.elapsed_s
        told = (
            f"{verdict.decision.value} after {look.elapsed_s:.0f} s, "
            f"{look.candidate_requests} and {look.baseline_requests} requests"
        )
        name, terminal = f"step {look.step.percent} %", self._context.terminal
        if verdict.reason.code is ReasonCode.HELD and len(look.enforced) > 1:
            terminal.step(name, told)
            results = look.enforced
        else:
            terminal.step(name, f"{told}: {verdict.reason.sentence}")
            results = _unsaid(verdict)
        for result in results:
            terminal.line(f"  {result.sentence}")


def keep_warnings(terminal: Terminal, found: Mapping[str, str], kept: dict[str, str]) -> None:
    """Show each warning that is not ``kept`` yet, and keep it: a rule that fired once would have decided then."""
    for rule, sentence in found.items():
        if rule not in kept:
            terminal.line(f"deploygate: warning: {sentence}", yellow=True)
            kept[rule] = sentence


def _unsaid(verdict: StepVerdict) -> tuple[ObjectiveResult, ...]:
    """What is known of the objectives of a step that holds, where its reason does not say it."""
    if verdict.decision is not StepDecision.HOLD:
        return ()
    return tuple(
        result
        for result in verdict.look.enforced
        if result.candidate_requests and result.sentence not in verdict.reason.sentence
    )


def _with_problem(look: StepLook, problem: str) -> StepLook:
    return replace(look, problem=problem)


def _next_period(now: datetime, period_s: int) -> datetime:
    """The first moment from ``now`` on at which a period begins, which are counted from midnight of 1970."""
    seconds = math.ceil(now.timestamp() / period_s) * period_s
    return datetime.fromtimestamp(seconds, tz=now.tzinfo)


def recorded_step(verdict: StepVerdict) -> RecordedStep:
    """What the record keeps of a step."""
    look = verdict.look
    return RecordedStep(
        percent=look.step.percent,
        decision=verdict.decision.value,
        reason=verdict.reason.sentence,
        seconds=round(look.elapsed_s, 3),
        candidate_requests=look.candidate_requests,
        baseline_requests=look.baseline_requests,
        is_undecided=verdict.is_undecided,
        objectives={result.objective.name: result.sentence for result in look.results},
    )
