"""Converts journal entries and actors to text and back, and computes the hashes that show damage.

Canonical JSON has sorted keys, no white space, no non-finite numbers, and is UTF-8. The hash of a journal entry covers
the hash of the entry before it, so a changed, missing or exchanged entry breaks every later hash.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pytest_deploygate.core.errors import JournalDamaged, StoreError
from pytest_deploygate.core.identifiers import Actor, RevisionName, RolloutId
from pytest_deploygate.core.record import EffectFailure, EntryKind, JournalEntry, StepDetails
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.store.record_upgrade import details_of_facts

CHAIN_START = "0" * 64
"""The hash before the first entry of a journal."""

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
    """SHA-256 over ``parts``, each preceded by its length, so that different lists give different bytes."""
    from hashlib import sha256

    framed = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode() for part in parts))
    return sha256(framed).hexdigest()


def time_text(moment: datetime) -> str:
    """An aware moment as ISO 8601 in UTC with microseconds, so that texts sort like moments."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def entry_body(entry: JournalEntry) -> str:
    """Canonical JSON of everything in ``entry`` but its sequence."""
    details = entry.details
    document: dict[str, object] = {
        "at": time_text(entry.at),
        "kind": entry.kind.value,
        "name": entry.name,
        "state": entry.state.value,
        "notes": dict(details.notes),
    }
    if details.operation:
        document["operation"] = details.operation
    if details.revision is not None:
        document["revision"] = details.revision
    if details.failure is not None:
        document["failure"] = details.failure.value
    return canonical(document)


def clean_entry(entry: JournalEntry, clean: Callable[[str], str] = strip_queries) -> JournalEntry:
    """``entry`` with ``clean`` applied to its free texts, as the store keeps it."""
    notes = {clean(name): clean(text) for name, text in entry.details.notes.items()}
    return entry._replace(details=replace(entry.details, notes=notes))


def entry_hash(before: str, rollout_id: RolloutId, sequence: int, body: str) -> str:
    """Hash of one entry, chained to ``before``, the hash of the entry before it."""
    return digest(before, rollout_id, str(sequence), body)


def entry_from(sequence: int, body: str) -> JournalEntry:
    """Read a body of :func:`entry_body`, or of an earlier version, which has one mapping ``facts``.

    Raises:
        JournalDamaged: the text is not a journal entry.
    """
    try:
        data = json.loads(body)
        kind = EntryKind(data["kind"])
        return JournalEntry(
            sequence=sequence,
            at=datetime.fromisoformat(data["at"]),
            kind=kind,
            name=data["name"],
            state=State(data["state"]),
            details=details_of_facts(kind, data["facts"]) if "facts" in data else _details(data),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JournalDamaged(
            f"entry {sequence} of a journal cannot be read", hint=HINT_DAMAGED
        ) from error


def _details(data: dict[str, Any]) -> StepDetails:
    revision, failure = data.get("revision"), data.get("failure")
    return StepDetails(
        operation=data.get("operation", ""),
        revision=RevisionName(revision) if revision is not None else None,
        failure=EffectFailure(failure) if failure is not None else None,
        notes=dict(data["notes"]),
    )


def actor_text(actor: Actor) -> str:
    """Canonical JSON of ``actor``."""
    return canonical(actor_document(actor))


def actor_from(text: str) -> Actor:
    """Read a text of :func:`actor_text`.

    Raises:
        StoreError: the text is not an actor.
    """
    try:
        return Actor(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise StoreError("the actor in the record cannot be read", hint=HINT_DAMAGED) from error


def actor_document(actor: Actor) -> dict[str, str | int]:
    """Members of the JSON object of ``actor``."""
    return {
        "user": actor.user,
        "host": actor.host,
        "pid": actor.pid,
        "boot_id": actor.boot_id,
        "ci_url": strip_queries(actor.ci_url),
    }
