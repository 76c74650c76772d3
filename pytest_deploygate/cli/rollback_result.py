"""What ``rollback`` shows."""

from collections.abc import Sequence
from typing import NamedTuple

from pytest_deploygate.cli.live_gates import Checked
from pytest_deploygate.cli.output import BAD, Output, seconds
from pytest_deploygate.core.documentation import SERVES_BAD_HELP, stranded_advice
from pytest_deploygate.core.errors import ExitStatus

KEPT, LOST = "kept", "lost"


class Rollback(NamedTuple):
    """What ``rollback`` shows. ``record`` is ``kept``, or ``lost`` where no store could be had.

    ``recovered`` and ``superseded`` are earlier rollouts that were brought to an end on the way.
    """

    environment: str
    rollout_id: str
    state: str
    rollback_successful: bool
    rollback_duration_seconds: float | None
    waited_seconds: float
    rollback_reason: str
    error: str
    from_revisions: Sequence[str]
    to_revision: str
    url: str
    is_emergency: bool
    record: str
    recovered: Sequence[str]
    superseded: Sequence[str]
    post_rollback_validation: Checked | None
    notes: Sequence[str] = ()
    """What else to know."""

    @property
    def exit_status(self) -> ExitStatus:
        """What became of it."""
        if not self.rollback_successful:
            return ExitStatus.STRANDED
        checked = self.post_rollback_validation
        return ExitStatus.OK if checked and checked.holds else ExitStatus.FAILED


def print_rollback(out: Output, found: Rollback) -> None:
    """Show it to people."""
    checked = found.post_rollback_validation
    out.facts(
        (
            (found.state, found.error or f"all traffic is at {found.to_revision}"),
            ("rollout", found.rollout_id),
            ("from", ", ".join(found.from_revisions)),
            ("reason", found.rollback_reason),
            ("took", f"{seconds(found.waited_seconds)} from the command on"),
            ("url", found.url),
            ("record", "lost: nothing was recorded" if found.record == LOST else ""),
            ("recovered", ", ".join(found.recovered)),
            ("superseded", ", ".join(found.superseded)),
            ("checks", f"{checked.verdict}: {checked.reason}" if checked is not None else ""),
        )
    )
    for note in found.notes:
        out.line(note)
    if not found.rollback_successful:
        out.line(stranded_advice(found.environment), BAD)
    elif checked is not None and not checked.holds:
        what = "does not hold either" if checked.verdict == "ROLL_BACK" else "could not be judged"
        out.line(
            f"the traffic is back, but what serves now {what}: deploygate history "
            f"{found.environment}; {SERVES_BAD_HELP}",
            BAD,
        )
