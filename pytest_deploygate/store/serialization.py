"""Values to text and back: rollout records, journal entries, actors; and the hashes that make damage visible.

Canonical JSON here is: sorted keys, no white space, no non-finite numbers, UTF-8. A journal entry's hash covers
the hash before it, so that a changed, a missing or an exchanged entry breaks every later one.
"""

import json
from datetime import UTC, datetime

from pytest_deploygate.core.errors import JournalDamaged, StoreError
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.core.record import EntryKind, JournalEntry, RolloutRecord
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.core.state_machine import State

CHAIN_START = "0" * 64
"""What the first entry of a journal is chained to."""

HINT_DAMAGED = (
    "the record was changed outside of this program: keep a copy of it, look at what serves with "
    "'deploygate status', and move the record away before the next rollout"
)


def canonical(value: object) -> str:
    """``value`` as canonical JSON."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(*parts: str) -> str:
    """SHA-256 over ``parts``, each with its length before it, so that no two lists give the same bytes."""
    from hashlib import sha256

    framed = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode() for part in parts))
    return sha256(framed).hexdigest()


def time_text(moment: datetime) -> str:
    """An aware moment as ISO 8601 in UTC with microseconds, so that texts sort like moments."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def entry_body(entry: JournalEntry) -> str:
    """Canonical JSON of everything in ``entry`` but its sequence."""
    return canonical(
        {
            "at": time_text(entry.at),
            "kind": entry.kind.value,
            "name": entry.name,
            "state": entry.state.value,
            "facts": {key: strip_queries(value) for key, value in entry.facts.items()},
        }
    )


def entry_hash(before: str, rollout_id: RolloutId, sequence: int, body: str) -> str:
    """Hash of one entry, chained to ``before``, the hash of the entry before it."""
    return digest(before, rollout_id, str(sequence), body)


def entry_from(sequence: int, body: str) -> JournalEntry:
    """The journal entry that :func:`entry_body` wrote.

    Raises:
        JournalDamaged: the text is not such an entry.
    """
    try:
        data = json.loads(body)
        return JournalEntry(
            sequence=sequence,
            at=datetime.fromisoformat(data["at"]),
            kind=EntryKind(data["kind"]),
            name=data["name"],
            state=State(data["state"]),
            facts=dict(data["facts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(
            f"entry {sequence} of a journal cannot be read", hint=HINT_DAMAGED
        ) from error


def actor_text(actor: Actor) -> str:
    """Canonical JSON of ``actor``."""
    return canonical(_actor_json(actor))


def actor_from(text: str) -> Actor:
    """The actor that :func:`actor_text` wrote.

    Raises:
        StoreError: the text is not such an actor.
    """
    try:
        return Actor(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise StoreError("the record of who acts cannot be read", hint=HINT_DAMAGED) from error


def _actor_json(actor: Actor) -> dict[str, str | int]:
    return {
        "user": actor.user,
        "host": actor.host,
        "pid": actor.pid,
        "boot_id": actor.boot_id,
        "ci_url": strip_queries(actor.ci_url),
    }


def redacted(record: RolloutRecord) -> RolloutRecord:
    """``record`` as it is kept: its free texts without the secrets that URLs may carry."""
    return record._replace(
        actor=record.actor._replace(ci_url=strip_queries(record.actor.ci_url)),
        reason=strip_queries(record.reason),
        measurements={strip_queries(k): strip_queries(v) for k, v in record.measurements.items()},
        facts={key: strip_queries(value) for key, value in record.facts.items()},
    )


def record_body(record: RolloutRecord) -> str:
    """Canonical JSON of the whole ``record``."""
    kept = redacted(record)
    return canonical(
        {
            "rollout_id": kept.rollout_id,
            "environment": kept.environment,
            "purpose": kept.purpose,
            "actor": _actor_json(kept.actor),
            "began_at": time_text(kept.began_at),
            "state": kept.state.value,
            "ended_at": time_text(kept.ended_at) if kept.ended_at is not None else None,
            "baseline": kept.baseline,
            "candidate": kept.candidate,
            "verify": kept.verification,
            "serving": kept.serving,
            "reason_code": kept.reason_code,
            "reason": kept.reason,
            "score": kept.score,
            "digest": kept.digest,
            "backup": kept.backup,
            "inventory": {gate: list(checks) for gate, checks in kept.inventory.items()},
            "gates": dict(kept.gates),
            "measurements": dict(kept.measurements),
            "facts": dict(kept.facts),
        }
    )


def record_from(body: str) -> RolloutRecord:
    """The record that :func:`record_body` wrote.

    Raises:
        StoreError: the text is not such a record.
    """
    try:
        data = json.loads(body)
        return RolloutRecord(
            rollout_id=RolloutId(data["rollout_id"]),
            environment=EnvironmentName(data["environment"]),
            purpose=data["purpose"],
            actor=Actor(**data["actor"]),
            began_at=datetime.fromisoformat(data["began_at"]),
            state=State(data["state"]),
            ended_at=datetime.fromisoformat(data["ended_at"]) if data["ended_at"] else None,
            baseline=_revision(data["baseline"]),
            candidate=_revision(data["candidate"]),
            verification=_revision(data["verify"]),
            serving=_revision(data["serving"]),
            reason_code=data["reason_code"],
            reason=data["reason"],
            score=data["score"],
            digest=data["digest"],
            backup=data["backup"],
            inventory={gate: tuple(checks) for gate, checks in data["inventory"].items()},
            gates=dict(data["gates"]),
            measurements=dict(data["measurements"]),
            facts=dict(data["facts"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError("a rollout's record cannot be read", hint=HINT_DAMAGED) from error


def _revision(name: str | None) -> RevisionName | None:
    return RevisionName(name) if name is not None else None
