"""``history``, ``show``, ``backups``: what was done, and on what evidence."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_deploygate.cli.operator import Operator
from pytest_deploygate.cli.output import moment, seconds
from pytest_deploygate.core.errors import ConfigError, JournalDamaged
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.values import EnvironmentName
from pytest_deploygate.ports import Store

if TYPE_CHECKING:
    from pytest_deploygate.store.leases import LeaseEvent

LIMIT = 20
"""How many rollouts ``history`` shows where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRollout:
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
    score: str
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
            score=record.score,
            reason_code=record.reason_code,
            reason=record.reason,
            actor=str(record.actor),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLease:
    """A lease that was taken away from its holder."""

    environment: str
    at: datetime
    kind: str
    actor: str
    reason: str
    rollout_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What ``history`` shows; both newest first."""

    rollouts: Sequence[PastRollout]
    lease_events: Sequence[PastLease]


@runtime_checkable
class _KeepsLeaseEvents(Protocol):
    def lease_events(
        self, environment: EnvironmentName, limit: int
    ) -> "tuple[LeaseEvent, ...]": ...


def show_history(operator: Operator, environment: str, limit: int, *, is_json: bool) -> None:
    """Past rollouts, rollbacks, adoptions and broken leases, newest first; of all environments if none is named."""
    chosen = operator.environment(environment).name if environment else None
    names = [chosen] if chosen else [e.name for e in operator.settings.environments.values()]
    with operator.store() as store:
        events = [event for name in names for event in _lease_events(store, name, limit)]
        found = History(
            rollouts=[PastRollout.of(r) for r in store.history(chosen, limit)],
            lease_events=sorted(events, key=lambda e: e.at, reverse=True),
        )
    out = operator.output(is_json=is_json)
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


# -- one rollout -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One durable step: ``intent`` before an effect, ``observed`` after it, ``moved`` for a change of state."""

    sequence: int
    at: datetime
    kind: str
    name: str
    state: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What ``show`` shows. ``checks`` counts what was collected by gate, ``not_passed`` names what did not pass."""

    rollout: PastRollout
    verify_revision: str
    digest: str
    backup: str
    gates: Mapping[str, str]
    checks: Mapping[str, int]
    not_passed: Mapping[str, str]
    measurements: Mapping[str, str]
    facts: Mapping[str, str]
    journal: Sequence[JournalLine]
    journal_problem: str


def show_rollout(operator: Operator, rollout: str, *, is_json: bool) -> None:
    """One rollout with its evidence; ``rollout`` is an id, a part that only one id has, or ``last``."""
    with operator.store() as store:
        found = _shown(store, _find(store, rollout))
    out = operator.output(is_json=is_json)
    out.document(found)
    one = found.rollout
    out.facts(
        (
            ("rollout", one.rollout_id),
            ("environment", one.environment),
            ("purpose", one.purpose),
            ("state", one.state),
            ("reason", f"{one.reason} ({one.reason_code})" if one.reason else ""),
            ("began", moment(one.began_at)),
            ("ended", moment(one.ended_at) or "not yet"),
            ("took", seconds(one.duration_seconds)),
            ("by", one.actor),
            ("baseline", one.baseline),
            ("revision", one.revision),
            ("verification", found.verify_revision),
            ("serving", one.serving),
            ("source", found.digest),
            ("backup", found.backup),
            ("score", one.score),
        )
    )
    out.table(("gate", "passed"), list(found.gates.items()), title="gates")
    out.table(("check", "state"), list(found.not_passed.items()), title="checks that did not pass")
    out.table(("measurement", "value"), list(found.measurements.items()), title="measurements")
    out.table(("fact", "value"), [(k, v) for k, v in found.facts.items() if v], title="facts")
    journal = [
        (str(j.sequence), moment(j.at), j.kind, j.name, j.state, _pairs(j.facts))
        for j in found.journal
    ]
    out.table(("#", "at", "kind", "step", "state", "facts"), journal, title="journal")
    if found.journal_problem:
        out.line(f"journal: {found.journal_problem}")


def _find(store: Store, text: str) -> RolloutRecord:
    recent = store.history(None, 1000)
    if text == "last" and recent:
        return recent[0]
    found = [r for r in recent if r.rollout_id == text] or [
        r for r in recent if text in r.rollout_id
    ]
    if len(found) != 1:
        known = ", ".join(r.rollout_id for r in (found or recent)[:5]) or "none"
        what = "there is no rollout" if not found else "more than one rollout has"
        raise ConfigError(f"{what} {text!r}", hint=f"deploygate history; for instance: {known}")
    return found[0]


def _shown(store: Store, record: RolloutRecord) -> Shown:
    problem = ""
    journal: list[JournalLine] = []
    try:
        journal = [
            JournalLine(
                sequence=e.sequence,
                at=e.at,
                kind=e.kind.value,
                name=e.name,
                state=e.state.value,
                facts=dict(e.facts),
            )
            for e in store.journal(record.rollout_id)
        ]
    except JournalDamaged as error:
        problem = error.message
    mark = "check."
    return Shown(
        rollout=PastRollout.of(record),
        verify_revision=record.verify or "",
        digest=record.digest,
        backup=record.backup,
        gates=dict(record.gates),
        checks={gate: len(checks) for gate, checks in record.inventory.items()},
        not_passed={k.removeprefix(mark): v for k, v in record.facts.items() if k.startswith(mark)},
        measurements=dict(record.measurements),
        facts={k: v for k, v in record.facts.items() if not k.startswith(mark)},
        journal=journal,
        journal_problem=problem,
    )


def _pairs(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in facts.items())


# -- backups ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBackup:
    """One backup. ``condition``: ``whole``, ``damaged``, ``missing``, or ``settings only``."""

    backup_identifier: str
    at: datetime
    revision: str
    size_bytes: int
    sha256: str
    path: str
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """What ``backups`` shows, newest first."""

    environment: str
    backups: Sequence[KeptBackup]


def show_backups(operator: Operator, environment: str, *, is_json: bool) -> None:
    """Sources and settings of what served before each rollout, and whether they are still whole."""
    name = operator.environment(environment).name
    with operator.store() as store:
        kept = [
            KeptBackup(
                backup_identifier=backup.identifier,
                at=at,
                revision=backup.revision,
                size_bytes=backup.size_bytes,
                sha256=backup.sha256,
                path=backup.path,
                condition=_condition(backup.path, backup.sha256),
            )
            for at, backup in store.backups(name)
        ]
    out = operator.output(is_json=is_json)
    out.document(Backups(environment=name, backups=kept))
    if not kept:
        out.line(f"no backup of {name} is recorded")
    columns = ("backup", "at", "revision", "bytes", "condition", "path")
    rows = [
        (b.backup_identifier, moment(b.at), b.revision, str(b.size_bytes), b.condition, b.path)
        for b in kept
    ]
    out.table(columns, rows)


def _condition(path: str, sha256: str) -> str:
    if not path:
        return "settings only"
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "whole" if digest == sha256 else "damaged"
