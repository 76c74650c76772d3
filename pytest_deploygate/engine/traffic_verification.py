"""Polls a URL until the expected revision responds: the platform reports traffic before it applies it."""

import math
from collections.abc import Callable

from pytest_deploygate.core.errors import OutcomeUnknown, TargetUnavailable
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.system.retry import Backoff, attempts

CONFIRM_BUDGET_S = 30.0
"""How long a URL may still answer from another revision after the platform shows the new traffic (ADR 10)."""
_BACKOFF = Backoff(first_s=0.05, longest_s=1.0)


def wait_until_serving(
    rollout: JournaledRollout, revision: RevisionName, deadline: float = math.inf
) -> None:
    """Poll the public URL until ``confirmations`` answers in a row come from ``revision``.

    If the answers do not name their revision, read the traffic status again and report that instead. ``deadline`` is on
    the monotonic clock, for callers that have less time than :data:`CONFIRM_BUDGET_S`.

    Raises:
        OutcomeUnknown: another revision still answers at the deadline.
        TargetUnavailable: it does not answer.
    """
    target = rollout.ports.target
    url = target.snapshot().url
    count = rollout.ports.settings.confirmations
    if _poll(rollout, revision, lambda: target.answering_revision(url), "the public URL", deadline):
        rollout.progress("confirmed", f"{count} answers in a row from {revision}")
        return
    # Cloud Run names the revision in no header: a function can (X-Revision), else only the status tells.
    now = target.snapshot().serving
    if now.sole != revision:
        raise OutcomeUnknown(f"the traffic status, read again, gives {now} and not {revision}")
    rollout.progress(
        "serving",
        f"{count} answers in a row, none of which names its revision (Cloud Run adds no header for it); "
        f"the traffic status, read again, gives 100 % to {revision}",
    )


def wait_until_tag_answers(
    rollout: JournaledRollout, revision: RevisionName, tag: str, url: str
) -> None:
    """Poll the URL of a tag until ``revision`` answers; it may still lead to the previous revision of the tag (ADR 10).

    No answer, or a server error, does not show another revision: it counts, and the gates judge it.

    Raises:
        OutcomeUnknown: another revision still answers at the deadline.
    """

    def ask_tag() -> RevisionName | None:
        try:
            return rollout.ports.target.answering_revision(url)
        except TargetUnavailable:
            return None

    _poll(rollout, revision, ask_tag, f"the URL of the tag {tag}")


def _poll(
    rollout: JournaledRollout,
    revision: RevisionName,
    ask_tag: Callable[[], RevisionName | None],
    what: str,
    deadline: float = math.inf,
) -> bool:
    """Whether all answers named ``revision``; False if some named none. Raises if one named another revision."""
    ports = rollout.ports
    deadline = min(deadline, ports.clock.monotonic() + CONFIRM_BUDGET_S)
    problem: TargetUnavailable | OutcomeUnknown = OutcomeUnknown(f"{what} was not polled")
    for _ in attempts(ports.clock, _BACKOFF, deadline=deadline):
        try:
            # A mixed run of answers means that the platform is still switching: the count starts again.
            answers = [ask_tag() for _ in range(ports.settings.confirmations)]
        except TargetUnavailable as error:
            problem = error
            continue
        other = next((a for a in answers if a not in (revision, None)), None)
        if other is None:
            return None not in answers
        problem = OutcomeUnknown(f"{what} still answers from {other}, not from {revision}")
    raise problem
