"""What a rollout works with: its ports, its numbers, and who hears what it is doing."""

from typing import NamedTuple, Protocol

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.ports import Clock, Store, Target


class Progress(Protocol):
    """Hears what a rollout is doing, as it does it."""

    def __call__(self, step: str, detail: str) -> None:
        """``step`` is one word such as ``building``; ``detail`` is for people."""
        ...


def ignore_progress(step: str, detail: str) -> None:
    """A Progress that nobody listens to."""


class Ports(NamedTuple):
    """The adapters that a rollout works with, for one environment."""

    environment: EnvironmentName
    target: Target
    store: Store
    clock: Clock
    settings: EngineSettings = EngineSettings()
