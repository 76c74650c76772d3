"""What a Cloud Run service says of itself: generation, conditions, and what its traffic leads to."""

import secrets

from google.cloud import run_v2
from google.protobuf.message import Message

from pytest_deploygate.emulator.runtime.revisions import set_condition

TrafficTarget = run_v2.TrafficTarget.pb()
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
_States = run_v2.Condition.State


def bump(service: Message) -> None:
    """A new generation and etag for a service whose configuration changes."""
    service.generation += 1
    service.etag = f'"{secrets.token_urlsafe(9)}"'
    service.update_time.GetCurrentTime()


def terminal(service: Message, state: int, message: str = "") -> None:
    """Set the condition that says whether the service came to what was asked for."""
    condition = service.terminal_condition
    condition.Clear()
    condition.type_ = "Ready"
    condition.state = state
    condition.message = message
    condition.last_transition_time.GetCurrentTime()
    for kind in ("RoutesReady", "ConfigurationsReady"):
        set_condition(service, kind, state, message)


def follows_any_latest(service: Message) -> bool:
    """Whether traffic or a tag goes to whatever is the latest ready revision."""
    return any(target.type_ == LATEST for target in service.traffic)


def half_way(
    held: list[tuple[str, int]], wanted: list[tuple[str, Message]]
) -> list[tuple[str, Message]]:
    """Half of the shares that held before and half of those that are wanted; new tags are left out."""
    shares: dict[str, int] = {}
    for revision, percent in held + [(r, t.percent) for r, t in wanted]:
        shares[revision] = shares.get(revision, 0) + percent
    rest, halves = 0, []
    for revision, percent in shares.items():
        half, rest = divmod(percent + rest, 2)
        halves.append(
            (
                revision,
                TrafficTarget(type_=REVISION, revision=revision.rsplit("/", 1)[-1], percent=half),
            )
        )
    return [pair for pair in halves if pair[1].percent]


def resolve_targets(service: Message) -> list[tuple[str, Message]]:
    """Each traffic target with the full name of its revision; LATEST without a ready revision is left out."""
    found = []
    for target in service.traffic:
        name = f"{service.name}/revisions/{target.revision}"
        if target.type_ == LATEST:
            name = service.latest_ready_revision
        if name:
            found.append((name, target))
    return found
