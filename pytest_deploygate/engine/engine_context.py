"""What a rollout works with: its ports, its numbers, and who hears what it is doing."""

from typing import NamedTuple, Protocol

from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.ports import Clock, Store, Target


class Progress(Protocol):
    """Hears what a rollout is doing, as it does it."""

    def __call__(self, step: str, detail: str) -> None:
        """``step`` is one word such as ``building``; ``detail`` is for people."""
        ...


def silent(step: str, detail: str) -> None:
    """A Progress that nobody listens to."""


class EngineSettings(NamedTuple):
    """Numbers that steer a rollout. Budgets are in seconds; ``steps`` ascends to 100 percent."""

    steps: tuple[int, ...] = (100,)
    rollout_budget_s: float = 600
    rollback_budget_s: float = 300
    lease_ttl_s: int = 60
    confirmations: int = 3
    """How many answers in a row must come from the revision that should serve."""
    pause_s: float = 1.0
    """First pause between two attempts; doubles up to 15 s."""


class Ports(NamedTuple):
    """The adapters that a rollout works with, for one environment."""

    environment: EnvironmentName
    target: Target
    store: Store
    clock: Clock
    settings: EngineSettings = EngineSettings()
