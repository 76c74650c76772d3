"""A target that answers at once and always the same, so that only what stands before it is measured."""

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.ports import Clock

SERVING = RevisionName("svc-099999")


class Standing:
    """The part of a target that commands which only look ask for."""

    def snapshot(self) -> Snapshot:
        """One revision has all traffic and was judged good."""
        traffic = Traffic.of({SERVING: 100})
        return Snapshot(
            exists=True,
            url="https://svc.example",
            traffic=traffic,
            serving=traffic,
            rollout_labels=RolloutLabels(baseline=SERVING),
        )

    def revision(self, name: RevisionName) -> RevisionInfo:
        """Every revision is there."""
        return RevisionInfo(name=name, is_ready=True)

    def close(self) -> None:
        """Nothing is open."""


def make(environment: Environment, settings: Settings, clock: Clock) -> Standing:
    """The target, as an entry point makes it."""
    del environment, settings, clock
    return Standing()
