"""A rollout with its ports, lease and record: moves through the state machine, and journals every effect."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from pytest_deploygate.core.errors import (
    BuildFailed,
    DeployGateError,
    Drifted,
    LeaseLost,
    OutcomeUnknown,
    StartFailed,
    StoreError,
)
from pytest_deploygate.core.failure_excerpt import excerpt_of
from pytest_deploygate.core.record import (
    EffectFailure,
    EntryKind,
    JournalEntry,
    Lease,
    RolloutRecord,
    StepDetails,
)
from pytest_deploygate.core.state_machine import Event, State, Step, advance
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports, Progress, ignore_progress

logger = logging.getLogger(__name__)

T = TypeVar("T")
Details = StepDetails | Mapping[str, str]
"""Details of a journal entry besides its step; a mapping becomes its notes."""


class JournaledRollout:
    """A rollout's record under its lease: moves through the table and journals every effect.

    ``is_lenient`` is set during a rollback: a record that cannot be written is then logged and does not stop it. A lost
    lease always stops the rollout, because another holder acts now. ``keeps_lease`` is set when several rollouts are
    recovered under one lease.
    """

    def __init__(
        self,
        ports: Ports,
        record: RolloutRecord,
        lease: Lease,
        progress: Progress = ignore_progress,
    ) -> None:
        self.ports = ports
        self.record = record
        self.lease = lease
        self.progress = progress
        self.is_lenient = False
        self.keeps_lease = False
        self.unwritten = ""
        """Why the record does not say how the rollout ended; empty where it does."""
        self._sequence: int | None = None
        self._has_lease = True

    @property
    def state(self) -> State:
        """State of the rollout."""
        return self.record.state

    def update(self, record: RolloutRecord) -> None:
        """Write the record."""
        self.record = record
        lease = self.lease if self._has_lease else None  # notes on a rollout that has ended
        self._write_with_retry(lambda: self.ports.store.save(record, lease))

    def move(self, event: Event, notes: Mapping[str, str] | None = None) -> Step:
        """Take the row for ``event``: the new state is durable when this returns.

        Raises:
            StoreError: it could not be journaled; the rollout stays in the state that it was in.
        """
        step = advance(self.state, event)
        before = self.state
        self.record = self.record._replace(state=step.state)
        # Journal, then record, and only then the effects of the new state: a recovery that finds the old state in the
        # record has nothing more to return.
        try:
            self.journal(EntryKind.MOVED, event.value, {"from": before.value, **(notes or {})})
        except StoreError:
            self.record = self.record._replace(state=before)
            raise
        self._write_with_retry(lambda: self.ports.store.save(self.record, self.lease))
        logger.info(
            "rollout.transition",
            extra={
                "correlation_id": self.record.rollout_id,
                "from_state": before.value,
                "to_state": step.state.value,
                "rollout_event": event.value,
            },
        )
        return step

    def act(
        self,
        name: str,
        effect: Callable[[], T],
        *,
        intent: Details | None = None,
        observed: Callable[[T], Details] = lambda _: {},
    ) -> T:
        """Journal the intent, run ``effect``, journal what it observed; re-raise an error of the effect."""
        # The intent is durable before the platform is touched: after a death the journal shows what may have happened.
        self.journal(EntryKind.INTENT, name, intent or {})
        try:
            result = effect()
        except Exception as error:
            self._note_failure(name, error)
            raise
        self.journal(EntryKind.OBSERVED, name, observed(result))
        return result

    def _note_failure(self, name: str, error: Exception) -> None:
        """Journal the failure; an error while writing must not hide the failure itself."""
        try:
            notes = {"error": type(error).__name__, "message": str(error)[:500]}
            details = StepDetails(failure=effect_failure(error), notes=notes)
            self.journal(EntryKind.OBSERVED, name, details)
        except (StoreError, LeaseLost):
            logger.warning(
                "journal.write_failed",
                extra={"correlation_id": self.record.rollout_id, "effect": name},
            )

    def journal(self, kind: EntryKind, name: str, details: Details) -> None:
        """Append one entry; durable when this returns."""
        if not isinstance(details, StepDetails):
            details = StepDetails(notes=details)
        self._write_with_retry(lambda: self._append(kind, name, details))

    def _append(self, kind: EntryKind, name: str, details: StepDetails) -> None:
        store, rollout_id = self.ports.store, self.record.rollout_id
        known = len(store.journal(rollout_id)) if self._sequence is None else self._sequence
        # A signal may interrupt the write after it was committed: the next append then counts the entries again.
        self._sequence = None
        entry = JournalEntry(
            sequence=known + 1,
            at=self.ports.clock.now(),
            kind=kind,
            name=name,
            state=self.state,
            details=details,
        )
        store.append(rollout_id, entry, self.lease)
        self._sequence = known + 1

    def _write_with_retry(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError as error:
            if not self.is_lenient:
                raise
            self.unwritten = error.message
            logger.warning(
                "record.write_failed",
                extra={"correlation_id": self.record.rollout_id, "reason": error.message},
            )

    def close(self, reason: Reason) -> None:
        """Record how the rollout ended and release the lease; a stranded rollout stays open and keeps it (ADR 7)."""
        is_stranded = self.state is State.STRANDED
        self.update(
            self.record._replace(
                ended_at=None if is_stranded else self.ports.clock.now(),
                reason_code=reason.code.value,
                reason=reason.sentence,
            )
        )
        # The record first: a new holder of the lease must not find this rollout open.
        if not is_stranded and not self.keeps_lease:
            self._write_with_retry(self._release_lease)

    def _release_lease(self) -> None:
        self.ports.store.release_lease(self.lease)
        self._has_lease = False


def reason_for(error: DeployGateError, code: ReasonCode) -> Reason:
    """The reason for an abort that ``error`` caused; drift has its own code."""
    if isinstance(error, Drifted):
        return Reason(code=ReasonCode.DRIFTED, sentence=error.message)
    if isinstance(error, (BuildFailed, StartFailed)):
        return Reason(code=code, sentence=excerpt_of(error.message).sentence)
    return Reason(code=code, sentence=error.message)


def effect_failure(error: Exception) -> EffectFailure:
    """What an effect that raised ``error`` did to the platform; any foreign exception leaves it unknown."""
    if isinstance(error, (BuildFailed, StartFailed)):
        return EffectFailure.ENDED
    if isinstance(error, DeployGateError) and not isinstance(error, OutcomeUnknown):
        return EffectFailure.NOT_APPLIED
    return EffectFailure.UNKNOWN
