"""Settings of a rollout."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

from pytest_deploygate.core.duration import PATTERN, Duration
from pytest_deploygate.core.setting import Setting

_DURATION: Final = Setting(
    "",
    example='"10m"',
    is_a="a duration such as 90s, 10m or 2h",
    pattern=PATTERN,
    parse=Duration.parse,
)


class TrafficStep(NamedTuple):
    """Percent of the traffic for the candidate, and the evidence that the next step needs."""

    percent: Annotated[
        int,
        Setting(
            "share of the traffic that the candidate gets",
            example="5",
            unit="percent",
            at_least=1,
            at_most=100,
        ),
    ]
    wait: Annotated[
        Duration | None,
        _DURATION._replace(
            help="time that the figures must cover before the next step",
            key="for",
            default="none: the next step follows at once",
        ),
    ] = None
    least_requests: Annotated[
        int,
        Setting(
            "least number of requests to the candidate before the next step",
            example="200",
            unit="requests",
            at_least=1,
        ),
    ] = 1
    at_most: Annotated[
        Duration | None,
        _DURATION._replace(
            help="how long the step may stay undecided, not counting the delay of the figures",
            example='"2h"',
            default="three times `for`",
        ),
    ] = None
    undecided: Annotated[
        Literal["roll-back", "advance"],
        Setting("what an undecided step does after `at-most`", example='"advance"'),
    ] = "roll-back"
    watch: Annotated[
        Duration | None,
        _DURATION._replace(
            help="of 100 percent: how long triggers are evaluated before the live gates run",
            example='"15m"',
            default="none: the live gates run at once",
        ),
    ] = None

    @property
    def longest_s(self) -> int:
        """How long the step may stay undecided."""
        return self.at_most or 3 * (self.wait or 0)


def _problem_of_steps(steps: Sequence[object]) -> str:
    known = [step for step in steps if isinstance(step, TrafficStep)]
    percents = [step.percent for step in known]
    if percents != sorted(set(percents)) or percents[-1] != 100:
        return f"must ascend and end with 100, got {percents}"
    if known[-1].wait:
        return "at 100 percent there is no baseline to compare with, so there is no for"
    for step in known:
        if step.watch and step.percent != 100:
            return f"watch is for 100 percent; at {step.percent} percent write for"
        if step.at_most and not step.wait:
            return f"the at-most of {step.percent} percent needs a for"
        if step.wait and step.longest_s < step.wait:
            return f"the at-most of {step.percent} percent is shorter than its for"
    return ""


class EngineSettings(NamedTuple):
    """Settings of the engine in one environment."""

    steps: Annotated[
        tuple[TrafficStep, ...],
        Setting(
            "traffic of the candidate, in steps; a plain number is a step that does not wait",
            example='[{ percent = 5, for = "10m" }, 25, 100]',
            is_filled=True,
            plain="percent",
            problem=_problem_of_steps,
        ),
    ] = (TrafficStep(percent=100),)
    rollout_budget_s: Annotated[
        int,
        Setting(
            "how long a rollout may take before it is rolled back",
            example="900",
            unit="seconds",
            at_least=1,
        ),
    ] = 600
    rollback_budget_s: Annotated[
        int,
        Setting(
            "how long a rollback may take before the rollout is stranded",
            example="120",
            unit="seconds",
            at_least=1,
        ),
    ] = 300
    lease_ttl_s: Annotated[
        int,
        Setting(
            "how long a lease outlives the last heartbeat of its holder",
            example="120",
            unit="seconds",
            at_least=1,
        ),
    ] = 60
    confirmations: Annotated[
        int,
        Setting(
            "how many answers in a row must come from the revision that should serve",
            example="5",
            unit="answers",
            at_least=1,
            at_most=100,
        ),
    ] = 3
    drill: Annotated[
        bool,
        Setting(
            "whether a rollout tries the rollback before it moves traffic; without one nothing is promoted",
            example="true",
        ),
    ] = False
    detach: Annotated[
        bool,
        Setting(
            "whether a session may leave a rollout at a step (`--deploy-detach`), for another one to carry it on",
            example="true",
        ),
    ] = False
    baseline: Annotated[
        Literal["serving", "fresh"],
        Setting(
            "what a step that waits compares the candidate with: the `serving` revision, or a `fresh` one of the same "
            "image and settings, started together with the candidate and removed from the traffic with the last step",
            example='"fresh"',
        ),
    ] = "serving"
    pause_s: float = 1.0
    """First pause between two attempts; doubles up to 15 s. Not a setting."""
    has_step_gates: bool = False
    """Whether gates are judged at each step. Not a setting of an environment: the policy says so."""

    left_out: tuple[TrafficStep, ...] = ()
    """Steps of the settings that this rollout leaves out. Not a setting: an operator says so for one rollout."""

    @property
    def has_fresh_baseline(self) -> bool:
        """Whether the steps compare the candidate with a new revision of the baseline's image."""
        return self.baseline == "fresh" and any(step.wait for step in self.steps)

    def without_steps(self) -> "EngineSettings":
        """The same settings with one step of 100 %, and the steps in ``left_out``."""
        return self._replace(steps=(TrafficStep(percent=100),), left_out=self.steps)

    def is_judged(self, step: TrafficStep) -> bool:
        """Whether the candidate is judged at ``step`` before it gets more traffic."""
        return bool(step.wait) or (self.has_step_gates and step.percent < 100)

    @property
    def judged_percents(self) -> tuple[int, ...]:
        """Percent of each step at which gates of the step phase run."""
        return tuple(step.percent for step in self.steps if step.percent < 100)

    @property
    def percents(self) -> tuple[int, ...]:
        """Percent of each step."""
        return tuple(step.percent for step in self.steps)
