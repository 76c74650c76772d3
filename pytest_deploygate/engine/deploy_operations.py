"""Starts deployments and waits for them. A deployment continues on the platform when our process dies.

The name of each operation is journaled before anything waits for it, so that a recovery waits for the same operation
instead of starting a second build.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_deploygate.core.errors import TargetRefused, TargetUnavailable
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.record import EffectFailure, EntryKind, JournalEntry, StepDetails
from pytest_deploygate.engine.journaled_rollout import JournaledRollout

BEGIN, AWAIT = "begin", "await"
"""First words, before what is deployed, of journal entries about a deployment."""
RELEASE = "release"
"""What the journal calls the deployment of a rollout's own source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedOperation:
    """A deployment that the journal does not show as failed.

    ``operation`` is "" if the process died before it learned the name; ``revision`` is the result, once the journal
    shows the end.
    """

    operation: str
    revision: RevisionName | None = None


def deploy(
    rollout: JournaledRollout,
    what: str,
    begin: Callable[[], str],
    *,
    deadline: float,
    intent: Mapping[str, str] | None = None,
) -> RevisionName:
    """Start a deployment, journal the name of its operation, and wait until it ends."""
    operation = rollout.act(
        f"{BEGIN}_{what}",
        begin,
        intent=intent,
        observed=lambda name: StepDetails(operation=name),
    )
    return await_operation(rollout, what, operation, deadline=deadline)


def await_operation(
    rollout: JournaledRollout, what: str, operation: str, *, deadline: float
) -> RevisionName:
    """Wait for a deployment, which another process may have started; ``deadline`` is on the monotonic clock."""
    ports = rollout.ports
    return rollout.act(
        f"{AWAIT}_{what}",
        lambda: ports.target.await_release(
            operation,
            progress=lambda text: rollout.progress("building", text),
            budget_s=deadline - ports.clock.monotonic(),
        ),
        intent=StepDetails(operation=operation),
        observed=lambda name: StepDetails(revision=name),
    )


def started_operations(journal: Iterable[JournalEntry]) -> Mapping[str, StartedOperation]:
    """The newest deployment of each kind that a rollout started, without those that failed or were not accepted."""
    found: dict[str, StartedOperation] = {}
    for entry in journal:
        step, _, what = entry.name.partition("_")
        details = entry.details
        if step == BEGIN and entry.kind is EntryKind.INTENT:
            # The intent alone: the platform may have started it, and the process died before it learned the name.
            found[what] = StartedOperation(operation="")
        elif step == BEGIN and details.failure is None:
            found[what] = StartedOperation(operation=details.operation)
        elif step == BEGIN and details.failure is not EffectFailure.UNKNOWN:
            found.pop(what, None)  # the platform did not accept it
        elif step == AWAIT and details.revision is not None:
            # A rollback continues when the journal cannot be written, so entries before this one may be missing.
            known = found.get(what, StartedOperation(operation=""))
            found[what] = replace(known, revision=details.revision)
        elif step == AWAIT and details.failure is EffectFailure.ENDED:
            found.pop(what, None)
    return found


def wait_for_running_operations(rollout: JournaledRollout, *, deadline: float) -> None:
    """Return when no deployment of the function is running; Google accepts one at a time (ADR 10).

    Raises:
        TargetUnavailable: one still runs and cannot be waited for.
        OutcomeUnknown: it has not ended at the deadline.
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    operation = target.find_operation()
    if operation is None:
        return
    with contextlib.suppress(TargetRefused):  # a failed operation has ended too
        target.await_release(
            operation,
            progress=lambda text: rollout.progress("waiting", text),
            budget_s=deadline - clock.monotonic(),
        )
    if target.find_operation() == operation:
        raise TargetUnavailable(f"{operation} still runs on the platform and cannot be waited for")
