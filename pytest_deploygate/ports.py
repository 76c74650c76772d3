"""The protocols that adapters implement: Target, Store, Clock, Metrics.

Errors are those of :mod:`pytest_deploygate.core.errors`; adapters translate every library exception.
"""

# Annotations stay texts: to name the values that adapters give, the commands that look at few need not load them all.
from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pytest_deploygate.core.artifacts import Backup, Package
    from pytest_deploygate.core.function_spec import CopyRole, FunctionSpec, Variant
    from pytest_deploygate.core.identifiers import (
        Actor,
        BackupId,
        EnvironmentName,
        RevisionName,
        RolloutId,
        Secret,
        VariantName,
    )
    from pytest_deploygate.core.measurement import Sample
    from pytest_deploygate.core.minute_counts import MinuteSeries
    from pytest_deploygate.core.preflight import PreflightFinding
    from pytest_deploygate.core.record import JournalEntry, Lease, RolloutRecord
    from pytest_deploygate.core.release import RevisionInfo, RolloutLabels, Snapshot
    from pytest_deploygate.core.step_command import StepCommand
from pytest_deploygate.core.traffic import Traffic


class Clock(Protocol):
    """Time as a port, so that tests own it."""

    def now(self) -> datetime:
        """Wall time, aware, UTC: for records only, never for decisions."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for budgets."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Target(Protocol):
    """One function in one place. Writes are idempotent: made so, then read back.

    Every write raises :class:`TargetRefused` (and its subclasses), :class:`TargetUnavailable` (certainly not
    applied), :class:`OutcomeUnknown` (perhaps applied: observe) or :class:`Drifted` (somebody else changed it).
    """

    @property
    def spec(self) -> FunctionSpec:
        """What this target deploys."""
        ...

    def preflight(self) -> tuple[PreflightFinding, ...]:
        """Everything that can be found wrong without changing anything."""
        ...

    def snapshot(self) -> Snapshot:
        """The service as it is now."""
        ...

    def revision(self, name: RevisionName) -> RevisionInfo | None:
        """One revision, or None if the platform no longer has it."""
        ...

    def package(self) -> Package:
        """The source as an archive; local, changes nothing. Raises ConfigError when it must not be shipped."""
        ...

    def backup(self, snapshot: Snapshot) -> Backup:
        """Fetch source and settings of what serves to this side; must be called before anything is staged."""
        ...

    def pin(self, snapshot: Snapshot, rollout_labels: RolloutLabels) -> Snapshot:
        """Give all traffic by name to what serves now and label the service with ``rollout_labels``; re-read to verify.

        Needs ``snapshot.exists``. One write.
        """
        ...

    def upload(self, package: Package) -> str:
        """Hand the archive to the platform; returns the place as opaque text for :meth:`begin_release`."""
        ...

    def begin_release(self, source: str, rollout_labels: RolloutLabels) -> str:
        """Ask the platform to build ``source`` once and to make a revision of it with the production variables.

        Returns the operation's name without waiting. Creates the service (closed to the public) when there is none.
        The new revision gets no traffic where one serves.
        """
        ...

    def add_revision(self, of: RevisionName, variant: Variant | VariantName) -> RevisionName:
        """Ask for one more revision of the very image that ``of`` runs, with the variables of ``variant``.

        A name is that of a verification variant of the settings.

        Builds nothing, and returns its name before it has started. What was asked for last is what the service's
        template describes. Asking again for what is already the newest revision changes nothing.

        Raises:
            TargetRefused: the platform does not tell by digest which image ``of`` runs; a tag is no identity.
        """
        ...

    def copy_revision(self, of: RevisionName, role: CopyRole, rollout: RolloutId) -> RevisionName:
        """Ask for one more revision that equals ``of``: the image by digest, variables, and everything else it has.

        Builds nothing, and returns its name before it has started. It is marked with ``role`` and ``rollout``; asking
        again for the same changes nothing while it is the newest revision. The template describes it afterwards.

        Raises:
            TargetRefused: ``of`` is gone, or the platform does not tell by digest which image it runs.
        """
        ...

    def await_revision(self, name: RevisionName, *, budget_s: float) -> None:
        """Wait until a revision that :meth:`add_revision` or :meth:`copy_revision` named is ready.

        Raises:
            StartFailed: it never will be.
            OutcomeUnknown: not within ``budget_s`` seconds.
        """
        ...

    def begin_restore(self, backup: Backup) -> str:
        """Ask for a new revision made of ``backup``; returns the operation's name without waiting.

        Traffic must be given by name before, or it goes to the new revision.

        Raises:
            TargetRefused: the backup is damaged or has no source.
        """
        ...

    def await_release(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> RevisionName:
        """Wait for what was begun; may be called again after a crash. Returns the new ready revision.

        Raises:
            BuildFailed: with the tail of the build log.
            StartFailed: the revision never became ready.
            OutcomeUnknown: not finished within ``budget_s`` seconds.
        """
        ...

    def find_operation(self) -> str | None:
        """Name of an unfinished deployment operation of the function, or None."""
        ...

    def shift_traffic(
        self, to: Traffic, *, expect: Traffic, rollout_labels: RolloutLabels | None = None
    ) -> Snapshot:
        """Write the whole plan ``to`` (shares and our tags; foreign tags are kept) if ``expect`` still serves.

        Compare-and-set on the service's etag; already so is success without a write; read back until the platform
        shows it. ``rollout_labels`` None leaves the rollout labels as they are.

        Raises:
            Drifted: the shares are neither ``expect`` nor ``to``, or ``to`` follows LATEST, which would lead
                elsewhere: to a newer revision without traffic, say.
        """
        ...

    def keep_image(self, revision: RevisionName, tag: str) -> None:
        """Let ``tag`` lead to the image that ``revision`` runs, in the registry: then no clean-up takes it."""
        ...

    def set_public(self, is_public: bool) -> None:
        """Let anyone call the service, or nobody without a token. Touches nothing else of the access policy."""
        ...

    def delete_function(self) -> None:
        """Remove a function whose first release was not promoted. Refuses when the service is public."""
        ...

    def delete_revision(self, name: RevisionName) -> None:
        """Remove one revision that has neither traffic nor tag; one that is gone is success."""
        ...

    def answering_revision(self, url: str) -> RevisionName | None:
        """Which revision answered one harmless request to ``url``, or None if the answer does not say.

        Raises:
            TargetUnavailable: nobody answered, or with a server error.
        """
        ...

    def call_token(self) -> Secret | None:
        """Bearer token for calling a service that is not public, or None where none is needed."""
        ...

    def gcloud_commands(self, snapshot: Snapshot | None, steps: tuple[int, ...]) -> tuple[str, ...]:
        """The same rollout in gcloud's words, ready to paste into a shell; ``steps`` ascends to 100 percent."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Store(Protocol):
    """The record: lease, rollouts, journal, backups. All writes are durable when the call returns.

    Raises:
        StoreError: cannot be read or written.
    """

    def acquire_lease(
        self,
        environment: EnvironmentName,
        actor: Actor,
        purpose: str,
        rollout_id: RolloutId,
        ttl_s: int,
    ) -> Lease:
        """Take the lease if nobody holds it. Raises LeaseHeld with the holder's description."""
        ...

    def lease(self, environment: EnvironmentName) -> Lease | None:
        """Who holds the lease."""
        ...

    def renew_lease(self, lease: Lease) -> Lease:
        """Heartbeat. Raises LeaseLost when the lease is no longer ours."""
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give the lease back; one that is no longer ours is left alone."""
        ...

    def take_over(
        self, stale: Lease, actor: Actor, purpose: str, rollout_id: RolloutId, ttl_s: int
    ) -> Lease:
        """Replace a lease found dead, if it is still exactly ``stale``. Raises LeaseHeld otherwise."""
        ...

    def break_lease(self, environment: EnvironmentName, actor: Actor, reason: str) -> Lease | None:
        """Remove whatever lease there is, recording who and why; returns it."""
        ...

    def begin(self, record: RolloutRecord, lease: Lease) -> None:
        """Record a new rollout. Raises LeaseLost when the lease is not ours."""
        ...

    def append(self, rollout_id: RolloutId, entry: JournalEntry, lease: Lease) -> None:
        """Add to the journal; ``entry.sequence`` must follow the last. Raises LeaseLost, JournalDamaged."""
        ...

    def journal(self, rollout_id: RolloutId) -> tuple[JournalEntry, ...]:
        """All entries in order. Raises JournalDamaged when they are not whole."""
        ...

    def save(self, record: RolloutRecord, lease: Lease | None) -> None:
        """Write the record's current state; ``lease`` None only for rollouts ended by an unlock."""
        ...

    def rollout(self, rollout_id: RolloutId) -> RolloutRecord | None:
        """One rollout by its id."""
        ...

    def open_rollouts(self, environment: EnvironmentName) -> tuple[RolloutRecord, ...]:
        """Rollouts that have not ended, oldest first (stranded ones too)."""
        ...

    def history(self, environment: EnvironmentName | None, limit: int) -> tuple[RolloutRecord, ...]:
        """Latest rollouts, newest first."""
        ...

    def last_promoted(self, environment: EnvironmentName) -> RolloutRecord | None:
        """The newest rollout whose candidate was promoted."""
        ...

    def promotion_of(
        self, environment: EnvironmentName, revision: RevisionName
    ) -> RolloutRecord | None:
        """The newest rollout that promoted ``revision``."""
        ...

    def is_known_good(self, environment: EnvironmentName, revision: RevisionName) -> bool:
        """Whether a rollout finished on that revision or an operator adopted it, and none rolled it back since."""
        ...

    def is_known_bad(self, environment: EnvironmentName, digest: str) -> RolloutRecord | None:
        """The rollout that rolled this package digest back, if the latest word on the digest is bad."""
        ...

    def add_step_command(self, command: StepCommand) -> None:
        """Record what an operator orders at a step.

        Raises:
            PolicyRefused: the rollout is not at that step, or nobody holds its lease.
        """
        ...

    def step_commands(self, rollout_id: RolloutId) -> tuple[StepCommand, ...]:
        """What operators ordered at steps of one rollout, oldest first."""
        ...

    def save_backup(self, environment: EnvironmentName, backup: Backup, at: datetime) -> None:
        """Remember where a backup lies."""
        ...

    def backups(self, environment: EnvironmentName) -> tuple[tuple[datetime, Backup], ...]:
        """Backups, newest first."""
        ...

    def backup(self, identifier: BackupId) -> Backup | None:
        """One backup."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Metrics(Protocol):
    """The platform's own statistics of a revision."""

    @property
    def lag_s(self) -> int:
        """How late they are: the window of :meth:`sample` ends so many seconds ago."""
        ...

    def sample(self, revision: RevisionName, window_s: int) -> Sample:
        """Measurements over ``window_s`` seconds; a value that is not known is not there. Raises nothing."""
        ...

    @property
    def period_s(self) -> int:
        """How long the periods of :meth:`minutes` are: a minute, less where the platform can count in less."""
        ...

    def minutes(self, revision: RevisionName, begin: datetime, count: int) -> MinuteSeries:
        """What was counted in each of ``count`` periods from ``begin`` on, oldest first. Raises nothing."""
        ...
