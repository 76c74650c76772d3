"""``history``: what was done, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.output import moment, seconds
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.ports import Store

if TYPE_CHECKING:
    from pytest_deploygate.store.leases import LeaseEvent

LIMIT = 20
"""How many rollouts ``history`` shows where nobody says."""


class PastRollout(NamedTuple):
    """One rollout, in a line. ``revision`` was to serve, ``serving`` did in the end."""

    rollout_id: str
    environment: str
    purpose: str
    state: str
    began_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    revision: str
    baseline: str
    serving: str
    score: float | None
    reason_code: str
    reason: str
    actor: str

    @classmethod
    def of(cls, record: RolloutRecord) -> "PastRollout":
        """What of ``record`` goes into the line."""
        return cls(
            rollout_id=record.rollout_id,
            environment=record.environment,
            purpose=record.purpose,
            state=record.state.value,
            began_at=record.began_at,
            ended_at=record.ended_at,
            duration_seconds=record.duration_s,
            revision=record.candidate or "",
            baseline=record.baseline or "",
            serving=record.serving or "",
            score=round(float(score), 6) if (score := record.score) is not None else None,
            reason_code=record.reason_code,
            reason=record.reason,
            actor=str(record.actor),
        )


class PastLease(NamedTuple):
    """A lease that was taken away from its holder."""

    environment: str
    at: datetime
    kind: str
    actor: str
    reason: str
    rollout_id: str


class History(NamedTuple):
    """What ``history`` shows; both newest first."""

    rollouts: Sequence[PastRollout]
    lease_events: Sequence[PastLease]


@runtime_checkable
class _KeepsLeaseEvents(Protocol):
    def lease_events(
        self, environment: EnvironmentName, limit: int
    ) -> "tuple[LeaseEvent, ...]": ...


def show_history(context: CliContext, environment: str, limit: int, *, is_json: bool) -> None:
    """Past rollouts, rollbacks, adoptions and broken leases, newest first; of all environments if none is named."""
    names = context.names(environment)
    chosen = names[0] if environment else None
    with context.store() as store:
        events = [event for name in names for event in _lease_events(store, name, limit)]
        found = History(
            rollouts=[PastRollout.of(r) for r in store.history(chosen, limit)],
            lease_events=sorted(events, key=lambda e: e.at, reverse=True),
        )
    out = context.output(is_json=is_json)
    out.document(found)
    if not found.rollouts and not found.lease_events:
        out.line("no rollout is recorded yet: pytest --deploy-to=ENV")
    columns = ("rollout", "began", "environment", "purpose", "state", "took", "revision", "reason")
    rows = [_row(r) for r in found.rollouts]
    out.table(columns, rows)
    rows = [
        (e.kind, moment(e.at), e.environment, e.actor, e.rollout_id, e.reason)
        for e in found.lease_events
    ]
    out.table(
        ("lease", "at", "environment", "by", "rollout", "reason"), rows, title="leases taken away"
    )


def _row(one: PastRollout) -> tuple[str, ...]:
    return (
        one.rollout_id,
        moment(one.began_at),
        one.environment,
        one.purpose,
        one.state,
        seconds(one.duration_seconds),
        one.revision,
        one.reason,
    )


def _lease_events(store: Store, environment: EnvironmentName, limit: int) -> list[PastLease]:
    if not isinstance(store, _KeepsLeaseEvents):
        return []
    return [
        PastLease(
            environment=event.environment,
            at=event.at,
            kind=event.kind.value,
            actor=str(event.actor),
            reason=event.reason,
            rollout_id=event.rollout_id,
        )
        for event in store.lease_events(environment, limit)
    ]
