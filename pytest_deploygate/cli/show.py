"""``show``: one rollout with its evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.history import PastRollout
from pytest_deploygate.cli.output import moment, seconds
from pytest_deploygate.core.errors import ConfigError, JournalDamaged
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.ports import Store


class JournalLine(NamedTuple):
    """One durable step: ``intent`` before an effect, ``observed`` after it, ``moved`` for a change of state."""

    sequence: int
    at: datetime
    kind: str
    name: str
    state: str
    facts: Mapping[str, str]


class Shown(NamedTuple):
    """What ``show`` shows. ``checks`` counts what was collected by gate, ``not_passed`` names what did not pass."""

    rollout: PastRollout
    verify_revision: str
    digest: str
    backup: str
    gates: Mapping[str, str]
    checks: Mapping[str, int]
    not_passed: Mapping[str, str]
    measurements: Mapping[str, str]
    facts: Mapping[str, str]
    journal: Sequence[JournalLine]
    journal_problem: str


def show_rollout(context: CliContext, rollout: str, *, is_json: bool) -> None:
    """One rollout with its evidence; ``rollout`` is an id, a part that only one id has, or ``last``."""
    with context.store() as store:
        found = _shown(store, _find(store, rollout))
    out = context.output(is_json=is_json)
    out.document(found)
    one = found.rollout
    out.facts(
        (
            ("rollout", one.rollout_id),
            ("environment", one.environment),
            ("purpose", one.purpose),
            ("state", one.state),
            ("reason", f"{one.reason} ({one.reason_code})" if one.reason else ""),
            ("began", moment(one.began_at)),
            ("ended", moment(one.ended_at) or "not yet"),
            ("took", seconds(one.duration_seconds)),
            ("by", one.actor),
            ("baseline", one.baseline),
            ("revision", one.revision),
            ("verification", found.verify_revision),
            ("serving", one.serving),
            ("source", found.digest),
            ("backup", found.backup),
            ("score", one.score),
        )
    )
    out.table(("gate", "passed"), list(found.gates.items()), title="gates")
    out.table(("check", "state"), list(found.not_passed.items()), title="checks that did not pass")
    out.table(("measurement", "value"), list(found.measurements.items()), title="measurements")
    out.table(("fact", "value"), [(k, v) for k, v in found.facts.items() if v], title="facts")
    journal = [
        (str(j.sequence), moment(j.at), j.kind, j.name, j.state, _pairs(j.facts))
        for j in found.journal
    ]
    out.table(("#", "at", "kind", "step", "state", "facts"), journal, title="journal")
    if found.journal_problem:
        out.line(f"journal: {found.journal_problem}")


def _find(store: Store, text: str) -> RolloutRecord:
    recent = store.history(None, 1000)
    if text == "last" and recent:
        return recent[0]
    found = [r for r in recent if r.rollout_id == text] or [
        r for r in recent if text in r.rollout_id
    ]
    if len(found) != 1:
        known = ", ".join(r.rollout_id for r in (found or recent)[:5]) or "none"
        what = "there is no rollout" if not found else "more than one rollout has"
        raise ConfigError(f"{what} {text!r}", hint=f"deploygate history; for instance: {known}")
    return found[0]


def _shown(store: Store, record: RolloutRecord) -> Shown:
    problem = ""
    journal: list[JournalLine] = []
    try:
        journal = [
            JournalLine(
                sequence=e.sequence,
                at=e.at,
                kind=e.kind.value,
                name=e.name,
                state=e.state.value,
                facts=dict(e.facts),
            )
            for e in store.journal(record.rollout_id)
        ]
    except JournalDamaged as error:
        problem = error.message
    mark = "check."
    return Shown(
        rollout=PastRollout.of(record),
        verify_revision=record.verification or "",
        digest=record.digest,
        backup=record.backup,
        gates=dict(record.gates),
        checks={gate: len(checks) for gate, checks in record.inventory.items()},
        not_passed={k.removeprefix(mark): v for k, v in record.facts.items() if k.startswith(mark)},
        measurements=dict(record.measurements),
        facts={k: v for k, v in record.facts.items() if not k.startswith(mark)},
        journal=journal,
        journal_problem=problem,
    )


def _pairs(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in facts.items())
