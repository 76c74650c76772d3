"""The store in memory, held to the same contract tests as the SQL store."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from pytest_deploygate.core.artifacts import Backup
from pytest_deploygate.core.errors import JournalDamaged, StoreError
from pytest_deploygate.core.identifiers import (
    Actor,
    BackupId,
    EnvironmentName,
    RevisionName,
    RolloutId,
)
from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.store import leases, serialization
from pytest_deploygate.store.leases import LeaseEvent, LeaseEventKind
from tests.fakes.faults import SLOW_S, FakeClock, Fault, Faults, Killed


class FakeStore:
    """Implements :class:`pytest_deploygate.ports.Store` in memory; it outlives the engines that use it."""

    def __init__(self, clock: FakeClock, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._clock = clock
        self._leases: dict[EnvironmentName, Lease] = {}
        self._tokens: dict[EnvironmentName, int] = {}
        self._events: list[LeaseEvent] = []
        self._rollouts: dict[RolloutId, RolloutRecord] = {}
        self._journals: dict[RolloutId, list[JournalEntry]] = {}
        self._backups: dict[BackupId, tuple[EnvironmentName, datetime, Backup]] = {}

    def acquire_lease(
        self,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        with self._call("acquire_lease"):
            current = self._leases.get(environment)
            if current is not None:
                raise leases.held(current)
            return self._grant(environment, actor, purpose, rollout_id, ttl_s)

    def lease(self, environment: EnvironmentName) -> Lease | None:
        with self._call("lease"):
            return self._leases.get(environment)

    def renew_lease(self, lease: Lease) -> Lease:
        with self._call("beat"):
            current = self._require(lease)
            beaten = current._replace(beat=current.beat + 1, beat_at=self._clock.now())
            self._leases[lease.environment] = beaten
            return beaten

    def release_lease(self, lease: Lease) -> None:
        with self._call("release_lease"):
            current = self._leases.get(lease.environment)
            if current is not None and current.token == lease.token:
                del self._leases[lease.environment]

    def take_over(
        self, stale: Lease, actor: Actor, purpose: str, rollout_id: RolloutId, ttl_s: int
    ) -> Lease:
        with self._call("take_over"):
            current = self._leases.get(stale.environment)
            if current is None or not leases.is_same(current, stale):
                raise leases.moved(stale.environment, current)
            self._note(LeaseEventKind.TAKEN_OVER, current, actor, purpose)
            return self._grant(stale.environment, actor, purpose, rollout_id, ttl_s)

    def break_lease(self, environment: EnvironmentName, actor: Actor, reason: str) -> Lease | None:
        with self._call("break_lease"):
            current = self._leases.pop(environment, None)
            if current is not None:
                self._note(LeaseEventKind.BROKEN, current, actor, reason)
            return current

    def lease_events(self, environment: EnvironmentName, limit: int) -> tuple[LeaseEvent, ...]:
        found = [e for e in reversed(self._events) if e.environment == environment]
        return tuple(found[:limit])

    def begin(self, record: RolloutRecord, lease: Lease) -> None:
        with self._call("begin"):
            self._require(lease)
            self._same_environment(record.environment, lease)
            if record.rollout_id in self._rollouts:
                raise StoreError(f"the rollout {record.rollout_id} is recorded already")
            self._rollouts[record.rollout_id] = serialization.redacted(record)
            self._journals[record.rollout_id] = []

    def append(self, rollout_id: RolloutId, entry: JournalEntry, lease: Lease) -> None:
        with self._call("append"):
            self._require(lease)
            self._same_environment(self._known(rollout_id).environment, lease)
            facts = {key: serialization.redact(value) for key, value in entry.facts.items()}
            kept = entry._replace(facts=facts)
            entries = self._journals[rollout_id]
            if entries and entries[-1] == kept:
                return
            if entry.sequence != len(entries) + 1:
                raise JournalDamaged(f"entry {entry.sequence} does not follow {len(entries)}")
            entries.append(kept)

    def journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        with self._call("journal"):
            self._known(rollout_id)
            return tuple(self._journals[rollout_id])

    def save(self, record: RolloutRecord, lease: Lease | None) -> None:
        with self._call("save"):
            if lease is not None:
                self._require(lease)
                self._same_environment(record.environment, lease)
            else:
                current = self._leases.get(record.environment)
                if current is not None and current.rollout_id == record.rollout_id:
                    raise leases.lost(current, current)
            self._known(record.rollout_id)
            self._rollouts[record.rollout_id] = serialization.redacted(record)

    def rollout(self, rollout_id: RolloutId) -> RolloutRecord | None:
        with self._call("rollout"):
            return self._rollouts.get(rollout_id)

    def open_rollouts(self, environment: EnvironmentName) -> tuple[RolloutRecord, ...]:
        with self._call("open_rollouts"):
            return tuple(
                r for r in self._rollouts.values() if r.environment == environment and r.is_open
            )

    def history(self, environment: EnvironmentName | None, limit: int) -> tuple[RolloutRecord, ...]:
        with self._call("history"):
            found = [r for r in self._newest() if environment in (None, r.environment)]
            return tuple(found[:limit])

    def last_promoted(self, environment: EnvironmentName) -> RolloutRecord | None:
        with self._call("last_promoted"):
            for record in self._newest():
                is_promoted = record.state is State.PROMOTED and record.candidate is not None
                if record.environment == environment and is_promoted:
                    return record
            return None

    def promotion_of(
        self, environment: EnvironmentName, revision: RevisionName
    ) -> RolloutRecord | None:
        with self._call("promotion_of"):
            for record in self._newest():
                if (record.environment, record.state, record.candidate) == (
                    environment,
                    State.PROMOTED,
                    revision,
                ):
                    return record
            return None

    def is_known_good(self, environment: EnvironmentName, revision: RevisionName) -> bool:
        with self._call("is_known_good"):
            for record in self._newest():
                if record.environment != environment:
                    continue
                if record.state is State.PROMOTED and revision in (
                    record.candidate,
                    record.serving,
                ):
                    return True
                if record.state is State.ROLLED_BACK and revision == record.candidate:
                    return False
            return False

    def is_known_bad(self, environment: EnvironmentName, digest: str) -> RolloutRecord | None:
        with self._call("is_known_bad"):
            for record in self._newest() if digest else []:
                if (record.environment, record.digest) != (environment, digest):
                    continue
                if record.state is State.PROMOTED:
                    return None
                if record.state is State.ROLLED_BACK:
                    return record
            return None

    def save_backup(self, environment: EnvironmentName, backup: Backup, at: datetime) -> None:
        with self._call("save_backup"):
            self._backups[backup.identifier] = (environment, at, backup)

    def backups(self, environment: EnvironmentName) -> tuple[tuple[datetime, Backup], ...]:
        with self._call("backups"):
            kept = enumerate(self._backups.values())
            found = [(at, n, b) for n, (where, at, b) in kept if where == environment]
            newest = sorted(found, key=lambda row: row[:2], reverse=True)
            return tuple((at, backup) for at, _, backup in newest)

    def backup(self, identifier: BackupId) -> Backup | None:
        with self._call("backup"):
            found = self._backups.get(identifier)
            return found[2] if found is not None else None

    def close(self) -> None:
        pass

    # For tests

    def peek(self, rollout_id: RolloutId) -> RolloutRecord:
        """A record, without this being a call."""
        return self._rollouts[rollout_id]

    def peek_journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        """A journal, without this being a call."""
        return tuple(self._journals[rollout_id])

    def peek_lease(self, environment: EnvironmentName) -> Lease | None:
        """The lease, without this being a call."""
        return self._leases.get(environment)

    def peek_all(self) -> tuple[RolloutRecord, ...]:
        """All records, oldest first, without this being a call."""
        return tuple(self._rollouts.values())

    def lose_everything(self) -> None:
        """The record is gone, as on a fresh machine."""
        for kept in (self._leases, self._tokens, self._rollouts, self._journals, self._backups):
            kept.clear()

    # Within

    @contextmanager
    def _call(self, name: str) -> Generator[None]:
        fault = self.faults.take(f"store.{name}")
        if fault is Fault.KILLED_BEFORE:
            raise Killed(name)
        if fault in (Fault.UNAVAILABLE, Fault.REFUSED, Fault.LOST_REQUEST):
            raise StoreError("the disk is full", hint="free space")
        if fault is Fault.SLOW:
            self._clock.sleep(SLOW_S)
        yield
        if fault is Fault.KILLED_AFTER:
            raise Killed(name)
        if fault is Fault.LOST_ANSWER:
            raise StoreError("the connection broke after the commit", hint="try again")

    def _grant(
        self,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        now = self._clock.now()
        token = self._tokens[environment] = self._tokens.get(environment, 0) + 1
        lease = Lease(
            environment=environment,
            token=token,
            actor=actor,
            purpose=purpose,
            rollout_id=rollout_id,
            since=now,
            beat=0,
            ttl_s=ttl_s,
            beat_at=now,
        )
        self._leases[environment] = lease
        return lease

    def _note(self, kind: LeaseEventKind, old: Lease, actor: Actor, reason: str) -> None:
        self._events.append(
            LeaseEvent(
                environment=old.environment,
                at=self._clock.now(),
                kind=kind,
                actor=actor,
                reason=serialization.redact(reason),
                token=old.token,
                rollout_id=old.rollout_id,
            )
        )

    def _require(self, lease: Lease) -> Lease:
        current = self._leases.get(lease.environment)
        if current is None or current.token != lease.token:
            raise leases.lost(lease, current)
        return current

    def _same_environment(self, environment: EnvironmentName, lease: Lease) -> None:
        if environment != lease.environment:
            raise StoreError("a rollout cannot be written under the lease of another environment")

    def _known(self, rollout_id: RolloutId) -> RolloutRecord:
        if rollout_id not in self._rollouts:
            raise StoreError(f"the rollout {rollout_id} is not in the record")
        return self._rollouts[rollout_id]

    def _newest(self) -> list[RolloutRecord]:
        return list(reversed(self._rollouts.values()))
