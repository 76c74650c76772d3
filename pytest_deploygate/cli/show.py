"""``show``: one rollout with its evidence."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.history import PastRollout
from pytest_deploygate.cli.output import Output, moment, seconds
from pytest_deploygate.core.errors import ConfigError, JournalDamaged
from pytest_deploygate.core.measurement import group_measurements
from pytest_deploygate.core.record import (
    FAILURE_NOTE,
    SETTING_NOTE,
    BuildProvenance,
    RecordedStep,
    RestorePoint,
    RolloutRecord,
)
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.ports import Store


class JournalLine(NamedTuple):
    """One durable step: ``intent`` before an effect, ``observed`` after it, ``moved`` for a change of state."""

    sequence: int
    at: datetime
    kind: str
    name: str
    state: str
    operation: str
    revision: str
    failure: str
    notes: Mapping[str, str]


class ShownMeasurement(NamedTuple):
    """A number that ``check`` measured in ``phase``, at a step of ``side``, or the platform of ``revision``."""

    phase: str
    name: str
    value: float
    unit: str
    check: str
    revision: str
    side: str


class ShownRestorePoint(NamedTuple):
    """What a rollback returns to: traffic as ``revision=percent,...;tag>revision,...``."""

    existed: bool
    before: str
    restore_to: str
    follows_latest: bool
    was_public: bool | None


class Shown(NamedTuple):
    """What ``show`` shows. ``checks`` counts what was collected by gate, ``not_passed`` names what did not pass.

    ``failures`` says of some of these how they failed first, ``FILE:LINE: ERROR``. ``secrets``
    are names and versions, never values. ``notes`` are remarks on what could not be looked at.
    """

    rollout: PastRollout
    verify_revision: str
    fresh_baseline: str
    variants: Mapping[str, str]
    digest: str
    config_digest: str
    checks_digest: str
    image: str
    base_image: str
    updates_base_image: bool | None
    secrets: Mapping[str, str]
    differs_in: Sequence[str]
    variants_differ_in: Mapping[str, Sequence[str]]
    backup: str
    redeployed: str
    restore_point: ShownRestorePoint | None
    deploy_reason: str
    approval: str
    plugins: Mapping[str, str]
    overrides: Mapping[str, str]
    watchdog_pid: int | None
    scores: Mapping[str, float]
    gates: Mapping[str, str]
    checks: Mapping[str, int]
    not_passed: Mapping[str, str]
    failures: Mapping[str, str]
    measurements: Sequence[ShownMeasurement]
    steps: Sequence[RecordedStep]
    warnings: Mapping[str, str]
    drill_seconds: float | None
    rollback_seconds: float | None
    rollback_error: str
    rollback_cause: str
    unfinished: str
    url: str
    notes: Mapping[str, str]
    journal: Sequence[JournalLine]
    journal_problem: str


def show_rollout(context: CliContext, rollout: str, *, is_json: bool) -> None:
    """One rollout with its evidence; ``rollout`` is an id, a part that only one id has, or ``last``."""
    with context.store() as store:
        record = find_rollout(store, rollout)
        found = _read_rollout(store, record)
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
            ("fresh baseline", found.fresh_baseline),
            ("revision", one.revision),
            ("verification", found.verify_revision),
            *((f"variant {name}", revision) for name, revision in found.variants.items()),
            ("serving", one.serving),
            *_release(found),
            *_rollback_rows(found),
            ("score", f"{one.score:.6f}" if one.score is not None else ""),
            ("unfinished", found.unfinished),
            ("url", found.url),
        )
    )
    _show_evidence(out, found, record)
    _show_steps(out, found)
    _show_journal(out, found)


def _show_evidence(out: Output, found: Shown, record: RolloutRecord) -> None:
    out.table(("gate", "passed"), list(found.gates.items()), title="gates")
    out.table(("gate", "overridden"), list(found.overrides.items()), title="overrides")
    bad = [(name, state, found.failures.get(name, "")) for name, state in found.not_passed.items()]
    out.table(("check", "state", "why"), bad, title="checks that did not pass")
    measured = [
        (phase.value, series.first.name, series.text, series.source)
        for phase, taken in record.measurements.items()
        for series in group_measurements(taken)
    ]
    out.table(("phase", "measurement", "value", "measured by"), measured, title="measurements")
    out.table(("about", "note"), list(found.notes.items()), title="notes")
    warned = list(found.warnings.items())
    out.table(("rule", "would have decided"), warned, title="warnings")


def _show_steps(out: Output, found: Shown) -> None:
    steps = [
        (
            f"{s.percent} %",
            s.decision,
            f"{s.candidate_requests}",
            f"{s.baseline_requests}",
            s.reason,
        )
        for s in found.steps
    ]
    columns = ("step", "decision", "candidate requests", "baseline requests", "reason")
    out.table(columns, steps, title="steps")


def _show_journal(out: Output, found: Shown) -> None:
    journal = [
        (str(j.sequence), moment(j.at), j.kind, j.name, j.state, _pairs(j)) for j in found.journal
    ]
    out.table(("#", "at", "kind", "step", "state", "details"), journal, title="journal")
    if found.journal_problem:
        out.line(f"journal: {found.journal_problem}")


def _base_image(found: Shown) -> str:
    """The image below the build; running code may change without a rollout where the platform updates it."""
    if found.updates_base_image is None:
        return found.base_image
    updates = "updated by the platform" if found.updates_base_image else "updated by rollouts alone"
    return f"{found.base_image or 'unknown'} ({updates})"


def _release(found: Shown) -> Iterator[tuple[str, str]]:
    """What was released, of what, and who allowed it."""
    yield ("source", found.digest)
    yield ("settings", found.config_digest)
    yield ("checks", found.checks_digest)
    yield ("image", found.image)
    yield ("base image", _base_image(found))
    yield ("secrets", ", ".join(f"{key}={ref}" for key, ref in found.secrets.items()))
    yield ("verification differs in", ", ".join(found.differs_in))
    for name, variables in found.variants_differ_in.items():
        yield (f"variant {name} differs in", ", ".join(variables))
    yield ("deployed because", found.deploy_reason)
    yield ("approval", found.approval)
    for plugin, identity in found.plugins.items():
        yield (f"plugin {plugin}", identity)
    if found.rollout.purpose == "deploy":
        yield ("watchdog", f"process {found.watchdog_pid}" if found.watchdog_pid else "off")


def _rollback_rows(found: Shown) -> Iterator[tuple[str, str]]:
    """What a rollback returns to, and how one went."""
    point = found.restore_point
    if point is not None:
        yield ("traffic before", point.before if point.existed else "nothing: first release")
        yield ("returns to", point.restore_to)
    yield ("backup", found.backup)
    yield ("redeployed", found.redeployed)
    yield ("rollback drill took", seconds(found.drill_seconds))
    yield ("rollback took", seconds(found.rollback_seconds))
    yield ("rollback error", found.rollback_error)
    yield ("rolled back because", found.rollback_cause)


def find_rollout(store: Store, text: str) -> RolloutRecord:
    """The rollout of an id, of a part that only one id has, or the last one.

    Raises:
        ConfigError: there is none, or several.
    """
    recent = store.history(None, 1000)
    if text == "last" and recent:
        return recent[0]
    found = [r for r in recent if r.rollout_id == text] or [
        r for r in recent if text in r.rollout_id
    ]
    if len(found) != 1:
        known = ", ".join(r.rollout_id for r in (found or recent)[:5])
        what = "there is no rollout" if not found else "more than one rollout has"
        hint = (
            f"deploygate history; for example: {known}"
            if known
            else "to deploy: pytest --deploy-to=ENV"
        )
        raise ConfigError(f"{what} {text!r}", hint=hint)
    return found[0]


def _read_journal(store: Store, record: RolloutRecord) -> tuple[list[JournalLine], str]:
    """The journal of a rollout, and what is wrong with it."""
    try:
        entries = store.journal(record.rollout_id)
    except JournalDamaged as error:
        return [], error.message
    lines = [
        JournalLine(
            sequence=e.sequence,
            at=e.at,
            kind=e.kind.value,
            name=e.name,
            state=e.state.value,
            operation=e.details.operation,
            revision=e.details.revision or "",
            failure=e.details.failure.value if e.details.failure is not None else "",
            notes=dict(e.details.notes),
        )
        for e in entries
    ]
    return lines, ""


def _read_rollout(store: Store, record: RolloutRecord) -> Shown:
    journal, problem = _read_journal(store, record)
    point, build, cause = record.restore_point, record.build, record.rollback_cause
    return Shown(
        rollout=PastRollout.of(record),
        verify_revision=record.verification or "",
        fresh_baseline=record.fresh_baseline or "",
        variants={str(name): revision for name, revision in record.variants.items()},
        digest=record.digest,
        config_digest=record.config_digest,
        checks_digest=record.checks_digest,
        image=build.image if build is not None else "",
        base_image=build.base_image if build is not None else "",
        updates_base_image=build.updates_base_image if build is not None else None,
        secrets=_versions(build.secrets) if build is not None else {},
        differs_in=build.differs_in or () if build is not None else (),
        variants_differ_in=_differences(build) if build is not None else {},
        backup=record.backup,
        redeployed=record.redeployed or "",
        restore_point=_shown_point(point) if point is not None else None,
        deploy_reason=record.deploy_reason,
        approval=record.approval,
        plugins=dict(record.plugins),
        overrides=dict(record.overrides),
        watchdog_pid=record.watchdog_pid,
        scores={phase.value: round(float(score), 6) for phase, score in record.scores.items()},
        gates={name: str(gate) for name, gate in record.gates.items()},
        checks={gate: len(checks) for gate, checks in record.inventory.items()},
        not_passed={check: state.value for check, state in record.not_passed.items()},
        failures=dict(record.failures),
        measurements=[
            ShownMeasurement(
                phase.value, m.name, float(m.value), m.unit, m.check, m.revision, m.side
            )
            for phase, measured in record.measurements.items()
            for m in measured
        ],
        steps=record.steps,
        warnings=dict(record.warnings),
        drill_seconds=record.drill_s,
        rollback_seconds=record.rollback_s,
        rollback_error=record.rollback_error,
        rollback_cause=cause.sentence if cause is not None else "",
        unfinished=record.unfinished,
        url=record.url,
        notes={
            n: text
            for n, text in record.notes.items()
            if not n.startswith((FAILURE_NOTE, SETTING_NOTE))
        },
        journal=journal,
        journal_problem=problem,
    )


def _shown_point(point: RestorePoint) -> ShownRestorePoint:
    return ShownRestorePoint(
        existed=point.existed,
        before=str(point.before),
        restore_to=str(point.restore_to),
        follows_latest=point.follows_latest,
        was_public=point.was_public,
    )


def _differences(build: BuildProvenance) -> Mapping[str, Sequence[str]]:
    return {str(name): variables for name, variables in build.variants_differ_in.items()}


def _versions(secrets: Mapping[str, SecretRef]) -> Mapping[str, str]:
    return {key: f"{ref.name}:{ref.version}" for key, ref in secrets.items()}


def _pairs(line: JournalLine) -> str:
    named = {"operation": line.operation, "revision": line.revision, **line.notes}
    return ", ".join(f"{key}={value}" for key, value in named.items() if value)
