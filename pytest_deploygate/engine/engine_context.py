"""What a rollout works with: its ports, its settings, and the callback that reports progress."""

from typing import NamedTuple, Protocol

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.ports import Clock, Store, Target


class Progress(Protocol):
    """Callback that receives each step of a rollout while it runs."""

    def __call__(self, step: str, detail: str) -> None:
        """``step`` is one word such as ``building``; ``detail`` is a text for the operator."""
        ...


def ignore_progress(step: str, detail: str) -> None:
    """Discard progress."""


class Ports(NamedTuple):
    """The adapters that a rollout works with, for one environment."""

    environment: EnvironmentName
    target: Target
    store: Store
    clock: Clock
    settings: EngineSettings = EngineSettings()
