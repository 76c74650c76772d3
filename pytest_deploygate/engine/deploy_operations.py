"""Deployments, which go on at the platform by themselves: their names are journalled before they are awaited.

Whoever comes after a death reads here what was begun, and attends to the same operation instead of beginning another.
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
    """A deployment of which nobody saw that it failed.

    ``operation`` is "" where nobody learned its name; ``revision`` is what it made, once it was seen to end.
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
    """Begin a deployment, note its operation's name, and attend to it until it has ended."""
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
    """Wait for a deployment, which another process may have begun; ``deadline`` is on the monotonic clock."""
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
    """The newest deployment of each kind that a rollout began, without those that failed or were not taken."""
    found: dict[str, StartedOperation] = {}
    for entry in journal:
        step, _, what = entry.name.partition("_")
        details = entry.details
        if step == BEGIN and entry.kind is EntryKind.INTENT:
            found[what] = StartedOperation(operation="")
        elif step == BEGIN and details.failure is None:
            found[what] = StartedOperation(operation=details.operation)
        elif step == BEGIN and details.failure is not EffectFailure.UNKNOWN:
            found.pop(what, None)  # it was not taken
        elif step == AWAIT and details.revision is not None:
            # While traffic is returned, entries before this one may not have been written.
            known = found.get(what, StartedOperation(operation=""))
            found[what] = replace(known, revision=details.revision)
        elif step == AWAIT and details.failure is EffectFailure.ENDED:
            found.pop(what, None)
    return found


def wait_for_running_operations(rollout: JournaledRollout, *, deadline: float) -> None:
    """Return when no deployment of the function is under way; the platform takes one at a time.

    Raises:
        TargetUnavailable: one goes on and cannot be waited for.
        OutcomeUnknown: it has not ended when the time is up.
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    operation = target.find_operation()
    if operation is None:
        return
    with contextlib.suppress(TargetRefused):  # failed by itself, which is an end too
        target.await_release(
            operation,
            progress=lambda text: rollout.progress("waiting", text),
            budget_s=deadline - clock.monotonic(),
        )
    if target.find_operation() == operation:
        raise TargetUnavailable(f"{operation} goes on at the platform and cannot be waited for")
