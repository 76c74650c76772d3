"""Messages about leases, the same for every store."""

from datetime import datetime
from enum import Enum, unique
from typing import NamedTuple

from pytest_deploygate.core.errors import LeaseHeld, LeaseLost
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RolloutId
from pytest_deploygate.core.record import Lease, lease_held_error


@unique
class LeaseEventKind(Enum):
    """What somebody other than its holder did to a lease."""

    TAKEN_OVER = "taken_over"
    BROKEN = "broken"


class LeaseEvent(NamedTuple):
    """A lease taken from its holder: by whom and why; ``token`` and ``rollout_id`` are the old holder's."""

    environment: EnvironmentName
    at: datetime
    kind: LeaseEventKind
    actor: Actor
    reason: str
    token: int
    rollout_id: RolloutId


def lease_moved_error(environment: EnvironmentName, current: Lease | None) -> LeaseHeld:
    """The error of a takeover that came too late."""
    if current is not None:
        return lease_held_error(current)
    return LeaseHeld(
        f"the lease of the environment {environment} was released during the takeover",
        hint="try again",
    )


def lease_lost_error(lease: Lease, current: Lease | None) -> LeaseLost:
    """The error that tells the holder of ``lease`` to stop."""
    if current is None:
        what = "was broken or released"
    else:
        what = f"went to {current.actor} for {current.purpose} (rollout {current.rollout_id})"
    return LeaseLost(
        f"the lease of the environment {lease.environment} {what}; this process no longer acts",
        hint=f"'deploygate status {lease.environment}' shows what serves and who holds the lease",
    )


def is_same(one: Lease, other: Lease) -> bool:
    """Whether both have the same token and the same heartbeat."""
    return (one.environment, one.token, one.beat) == (other.environment, other.token, other.beat)
