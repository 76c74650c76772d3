"""What the platform itself says of the revisions that a phase judges, added to what the checks measured.

In the live phase: everything about the serving revision, and the memory of its verification revision, which has the
same build and does the work of the checks. In the candidate phase: only what a trigger needs there and no check
measured. The figures are late; they are waited for only if the phase would hold with them and cannot hold without.
Statistics that cannot be read never decide anything, and are never passed over in silence: they are said, and recorded.
"""

from typing import Final

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.identifiers import Phase, RevisionName
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.verdict import ReasonCode, judge_phase
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.ports import Clock, Metrics
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.wiring import open_metrics

_OF_ONE_BUILD: Final = frozenset({"memory_usage_mb", "memory_kills"})
"""What the verification revision shows of what serves: both have one build, and only it works on documents."""
_SAMPLED_EACH_S: Final = 60
"""Figures are taken once a minute, so they may be so much later than the lag says."""
_POLL: Final = Backoff(first_s=15.0, factor=1)


class PlatformMetricsCollector:
    """Asks the platform and tells the recorder; ``metrics`` is None where there is nobody to ask."""

    def __init__(self, context: SessionContext, metrics: Metrics | None, clock: Clock) -> None:
        self._context = context
        self._metrics = metrics
        self._clock = clock

    def add(self, phase: Phase, deployment: Deployment) -> None:
        """Add the platform's figures of ``deployment`` to the evidence of ``phase``."""
        metrics, context = self._metrics, self._context
        if metrics is None or (phase is not Phase.LIVE and not self._needed_metrics(phase)):
            return
        limit_s = metrics.lag_s + _SAMPLED_EACH_S if metrics.lag_s else 0
        deadline = self._clock.monotonic() + limit_s
        measured: list[Measurement] = []
        problems: list[str] = []
        for attempt in attempts(self._clock, _POLL, deadline=deadline):
            measured, problems = self._ask(metrics, phase, deployment)
            context.recorder.set_measurements(phase, measured)
            missing = self._needed_metrics(phase) - {m.name for m in measured}
            if not missing or problems or not self._lacks_figures_alone(phase):
                break
            if attempt.number == 1 and not attempt.is_last:
                names = ", ".join(sorted(missing))
                context.terminal.step("statistics", f"waiting for {names}, at most {limit_s} s")
        self._report(phase, measured, problems)

    def _ask(
        self, metrics: Metrics, phase: Phase, deployment: Deployment
    ) -> tuple[list[Measurement], list[str]]:
        window_s = self._context.environment.statistics.window_s
        measured: list[Measurement] = []
        for revision, names in self._revisions(phase, deployment):
            sample = metrics.sample(revision, window_s)
            measured += [m for m in sample.measurements if names is None or m.name in names]
            if sample.problems:
                # the same questions about another revision would be answered alike
                return measured, list(sample.problems)
        return measured, []

    def _revisions(
        self, phase: Phase, deployment: Deployment
    ) -> list[tuple[RevisionName, frozenset[str] | None]]:
        """Revisions to ask about, each with the names that count; None for all."""
        live, verification = deployment.live, deployment.verification
        found: dict[RevisionName, frozenset[str] | None] = {}
        if phase is Phase.LIVE and live is not None and live.revision:
            found[RevisionName(live.revision)] = None
        if verification is not None and verification.revision:
            names = _OF_ONE_BUILD if phase is Phase.LIVE else self._needed_metrics(phase)
            found.setdefault(RevisionName(verification.revision), names)
        return list(found.items())

    def _needed_metrics(self, phase: Phase) -> frozenset[str]:
        """Names that a trigger needs in ``phase`` and no check measured."""
        measured = self._context.recorder.evidence(phase).measurements
        return frozenset(
            condition.metric
            for trigger in self._context.settings.policy.triggers
            if phase in trigger.needed_in
            for condition in trigger.conditions
        ) - {m.name for m in measured if not m.is_by_platform}

    def _lacks_figures_alone(self, phase: Phase) -> bool:
        """Whether nothing but missing figures keeps the phase from holding: what failed is not to wait."""
        verdict = judge_phase(self._context.settings.policy, self._context.recorder.evidence(phase))
        return all(reason.code is ReasonCode.TRIGGER_UNKNOWN for reason in verdict.reasons)

    def _report(self, phase: Phase, measured: list[Measurement], problems: list[str]) -> None:
        context = self._context
        for problem in problems:
            text = f"the platform's statistics could not be read: {problem}"
            context.note(f"{phase.value}.statistics", text)
            context.terminal.line(f"deploygate: note: {text}", yellow=True)
        for revision in dict.fromkeys(m.revision for m in measured):
            shown = (f"{m.name} {m.text}" for m in measured if m.revision == revision)
            context.terminal.step("statistics", f"{revision}: {', '.join(shown)}")
        if not measured and not problems:
            minutes = context.environment.statistics.window_s / 60
            text = f"no monitoring data for the last {minutes:g} minutes"
            context.note(f"{phase.value}.statistics", text)
            context.terminal.step("statistics", text)


def open_statistics(context: SessionContext, clock: Clock) -> PlatformMetricsCollector:
    """The platform's statistics of the environment that ``context`` works on."""
    return PlatformMetricsCollector(
        context, open_metrics(context.settings, context.environment, clock), clock
    )
