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


class WarnedRule(NamedTuple):
    """A rule that only warns: in how many of the rollouts it would have decided, and what it said last."""

    rule: str
    rollouts: int
    last_rollout: str
    last: str


class Warnings(NamedTuple):
    """What ``history --warnings`` shows, of so many ``rollouts``."""

    rollouts: int
    warnings: Sequence[WarnedRule]


def show_warnings(context: CliContext, environment: str, limit: int, *, is_json: bool) -> None:
    """How often each rule with ``enforce = "warn"`` would have decided in the last ``limit`` rollouts."""
    chosen = context.names(environment)[0] if environment else None
    with context.store() as store:
        records = store.history(chosen, limit)
    by_rule: dict[str, list[RolloutRecord]] = {}
    for record in records:
        for rule in record.warnings:
            by_rule.setdefault(rule, []).append(record)
    found = Warnings(
        rollouts=len(records),
        warnings=[
            WarnedRule(
                rule=rule,
                rollouts=len(of_rule),
                last_rollout=of_rule[0].rollout_id,
                last=of_rule[0].warnings[rule],
            )
            for rule, of_rule in sorted(by_rule.items(), key=lambda item: -len(item[1]))
        ],
    )
    out = context.output(is_json=is_json)
    out.document(found)
    if not found.warnings:
        out.line(f"no rule that only warns would have decided any of {found.rollouts} rollouts")
    rows = [
        (w.rule, f"{w.rollouts} of {found.rollouts}", w.last_rollout, w.last)
        for w in found.warnings
    ]
    out.table(("rule", "would have decided", "last in", "what it said"), rows)


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
