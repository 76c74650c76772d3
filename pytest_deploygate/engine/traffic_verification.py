"""Polls a URL until the expected revision responds: the platform reports traffic before it applies it."""

import math
from collections.abc import Callable

from pytest_deploygate.core.errors import OutcomeUnknown, TargetUnavailable
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.system.retry import Backoff, attempts

CONFIRM_BUDGET_S = 30.0
"""How long a URL may go on answering from another revision after the platform shows the new traffic."""
_BACKOFF = Backoff(first_s=0.05, longest_s=1.0)


def wait_until_serving(
    rollout: JournaledRollout, revision: RevisionName, deadline: float = math.inf
) -> None:
    """Ask the public URL until ``confirmations`` answers in a row came from ``revision``.

    Where answers do not say who gave them, the traffic status is read again after them, and only that is said.
    ``deadline`` is on the monotonic clock, for those who have less time than :data:`CONFIRM_BUDGET_S`.

    Raises:
        OutcomeUnknown: it still answers from elsewhere when the time is up.
        TargetUnavailable: it does not answer.
    """
    target = rollout.ports.target
    url = target.snapshot().url
    count = rollout.ports.settings.confirmations
    if _poll(rollout, revision, lambda: target.answering_revision(url), "the public URL", deadline):
        rollout.progress("confirmed", f"{count} answers in a row from {revision}")
        return
    now = target.snapshot().serving
    if now.sole != revision:
        raise OutcomeUnknown(f"the traffic status, read again, gives {now} and not {revision}")
    rollout.progress(
        "serving",
        f"{count} answers in a row that do not name their revision, as Cloud Run adds none; "
        f"the traffic status, read again, gives 100 % to {revision}",
    )


def wait_until_tag_answers(
    rollout: JournaledRollout, revision: RevisionName, tag: str, url: str
) -> None:
    """The same for the URL of a tag, before anything is judged there: it may still lead to what had the tag before.

    A candidate that gives no answer, or a server error, is not told from another one by that, and is for the gates
    to judge.

    Raises:
        OutcomeUnknown: it still answers from elsewhere when the time is up.
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
    """Whether every one of the answers that counted named ``revision``; the others do not say who gave them."""
    ports = rollout.ports
    deadline = min(deadline, ports.clock.monotonic() + CONFIRM_BUDGET_S)
    problem: TargetUnavailable | OutcomeUnknown = OutcomeUnknown(f"{what} was not asked")
    for _ in attempts(ports.clock, _BACKOFF, deadline=deadline):
        try:
            # one answer in between from elsewhere, and counting begins again
            answers = [ask_tag() for _ in range(ports.settings.confirmations)]
        except TargetUnavailable as error:
            problem = error
            continue
        other = next((a for a in answers if a not in (revision, None)), None)
        if other is None:
            return None not in answers
        problem = OutcomeUnknown(f"{what} still answers from {other}, not from {revision}")
    raise problem
