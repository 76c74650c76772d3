"""One rollout's connection to the world: its ports, its settings, its record, and how steps are journalled."""

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
"""What an entry of the journal says besides its step; a mapping is notes alone."""


class JournaledRollout:
    """A rollout's record under its lease: moves through the table and journals every effect.

    ``is_lenient`` is set while returning to the baseline: a record that cannot be written is then logged and
    passed over. A lost lease always stops: somebody else acts now. ``keeps_lease`` is set where several rollouts
    are recovered under one lease.
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
        self._sequence: int | None = None

    @property
    def state(self) -> State:
        """Where the rollout stands."""
        return self.record.state

    def update(self, record: RolloutRecord) -> None:
        """Write the record."""
        self.record = record
        self._write_with_retry(lambda: self.ports.store.save(record, self.lease))

    def move(self, event: Event, notes: Mapping[str, str] | None = None) -> Step:
        """Take the row for ``event``: the new state is durable when this returns."""
        step = advance(self.state, event)
        before = self.state
        self.record = self.record._replace(state=step.state)
        self.journal(EntryKind.MOVED, event.value, {"from": before.value, **(notes or {})})
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
        """Journal the intent, carry out ``effect``, journal what was observed; errors of the effect pass through."""
        self.journal(EntryKind.INTENT, name, intent or {})
        try:
            result = effect()
        except Exception as error:
            self._note_failure(name, error)
            raise
        self.journal(EntryKind.OBSERVED, name, observed(result))
        return result

    def _note_failure(self, name: str, error: Exception) -> None:
        """The failure is what was observed; failing to write it down must not hide it."""
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
        # A signal may interrupt the write: whether it was made is then read before the next one.
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
            logger.warning(
                "record.write_failed",
                extra={"correlation_id": self.record.rollout_id, "reason": error.message},
            )

    def close(self, reason: Reason) -> None:
        """Write how the rollout ended and give the lease back; a stranded one stays open and keeps it."""
        is_stranded = self.state is State.STRANDED
        self.update(
            self.record._replace(
                ended_at=None if is_stranded else self.ports.clock.now(),
                reason_code=reason.code.value,
                reason=reason.sentence,
            )
        )
        if not is_stranded and not self.keeps_lease:
            self._write_with_retry(lambda: self.ports.store.release_lease(self.lease))


def reason_for(error: DeployGateError, code: ReasonCode) -> Reason:
    """The reason that an error gives for breaking off; interference has its own code."""
    if isinstance(error, Drifted):
        return Reason(code=ReasonCode.DRIFTED, sentence=error.message)
    return Reason(code=code, sentence=error.message)


def effect_failure(error: Exception) -> EffectFailure:
    """What became of an effect that raised ``error``; of what is no error of ours nobody knows."""
    if isinstance(error, (BuildFailed, StartFailed)):
        return EffectFailure.ENDED
    if isinstance(error, DeployGateError) and not isinstance(error, OutcomeUnknown):
        return EffectFailure.NOT_APPLIED
    return EffectFailure.UNKNOWN
