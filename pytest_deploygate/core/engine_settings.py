"""Settings of a rollout."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pytest_deploygate.core.setting import Setting


def _problem_of_steps(steps: Sequence[object]) -> str:
    if (
        list(steps) == sorted({step for step in steps if isinstance(step, int)})
        and steps[-1] == 100
    ):
        return ""
    return f"must ascend and end with 100, got {list(steps)}"


class EngineSettings(NamedTuple):
    """Settings of the engine in one environment."""

    steps: Annotated[
        tuple[int, ...],
        Setting(
            "percent of the traffic that the candidate gets, in steps",
            example="[5, 25, 100]",
            unit="percent",
            at_least=1,
            at_most=100,
            is_filled=True,
            problem=_problem_of_steps,
        ),
    ] = (100,)
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
    pause_s: float = 1.0
    """First pause between two attempts; doubles up to 15 s. Not a setting."""
