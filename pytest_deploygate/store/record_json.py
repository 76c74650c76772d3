"""Converts a rollout's record to JSON text and back.

A body names its format. A body of an earlier format is upgraded when it is read (:mod:`.record_upgrade`). A body of a
later format, or with an unknown field, is refused: a rollback reads its target from it, and an unknown field could
neither be obeyed nor kept when the record is written again.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import starmap
from typing import Any, Final

from pytest_deploygate.core.errors import StoreError
from pytest_deploygate.core.evidence import CheckState, Score
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
    VariantName,
)
from pytest_deploygate.core.mean_test import Pair
from pytest_deploygate.core.measured_comparison import MeasuredPairs
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.record import (
    BuildProvenance,
    RecordedGate,
    RecordedStep,
    RestorePoint,
    RolloutRecord,
)
from pytest_deploygate.core.redaction import strip_queries
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Outcome, Reason, ReasonCode
from pytest_deploygate.store.policy_json import policy_document, policy_from
from pytest_deploygate.store.record_upgrade import FORMAT, upgrade_record
from pytest_deploygate.store.serialization import (
    HINT_DAMAGED,
    actor_document,
    canonical,
    time_text,
)

_HINT_NEWER: Final = "upgrade pytest-deploygate here to the version that the others use"
_PLAIN: Final = (
    *("rollout_id", "environment", "purpose", "baseline", "candidate", "verification", "serving"),
    *("reason_code", "reason", "deploy_reason", "digest", "config_digest", "checks_digest"),
    *("approval", "watchdog_pid", "built", "backup", "redeployed", "rollback_s", "rollback_error"),
    *("unfinished", "url", "drill_s", "step_percent", "fresh_baseline"),
)
"""Fields whose values are JSON values."""


def record_body(record: RolloutRecord) -> str:
    """Canonical JSON of ``record``, which must already be cleaned (:func:`clean_record`)."""
    point, build, cause = record.restore_point, record.build, record.rollback_cause
    policy = record.policy
    return canonical(
        {
            "format": FORMAT,
            **{name: getattr(record, name) for name in _PLAIN},
            "actor": actor_document(record.actor),
            "began_at": time_text(record.began_at),
            "ended_at": time_text(record.ended_at) if record.ended_at is not None else None,
            "detached_until": time_text(record.detached_until)
            if record.detached_until is not None
            else None,
            "state": record.state.value,
            "plugins": dict(record.plugins),
            "overrides": dict(record.overrides),
            "restore_point": _point_document(point) if point is not None else None,
            "build": _build_document(build) if build is not None else None,
            "variants": dict(record.variants),
            "inventory": {gate: list(checks) for gate, checks in record.inventory.items()},
            "policy": policy_document(policy) if policy is not None else None,
            "scores": {phase.value: str(score) for phase, score in record.scores.items()},
            "gates": {name: _gate_document(gate) for name, gate in record.gates.items()},
            "not_passed": {check: state.value for check, state in record.not_passed.items()},
            "measurements": {
                phase.value: [one.to_json() for one in measured]
                for phase, measured in record.measurements.items()
            },
            "warnings": dict(record.warnings),
            "steps": [
                {
                    **step._asdict(),
                    "objectives": dict(step.objectives),
                    "gates": dict(step.gates),
                    "measured": {name: one._asdict() for name, one in step.measured.items()},
                    "began_at": time_text(step.began_at) if step.began_at is not None else None,
                }
                for step in record.steps
            ],
            "rollback_cause": _reason_document(cause) if cause is not None else None,
            "notes": dict(record.notes),
        }
    )


def clean_record(
    record: RolloutRecord, clean: Callable[[str], str] = strip_queries
) -> RolloutRecord:
    """``record`` with ``clean`` applied to its free texts, as the store keeps it."""
    cause = record.rollback_cause
    return record._replace(
        actor=record.actor._replace(ci_url=clean(record.actor.ci_url)),
        reason=clean(record.reason),
        deploy_reason=clean(record.deploy_reason),
        overrides={gate: clean(why) for gate, why in record.overrides.items()},
        measurements={
            phase: tuple(replace(m, name=clean(m.name), unit=clean(m.unit)) for m in measured)
            for phase, measured in record.measurements.items()
        },
        steps=tuple(step._replace(reason=clean(step.reason)) for step in record.steps),
        warnings={rule: clean(text) for rule, text in record.warnings.items()},
        rollback_error=clean(record.rollback_error),
        rollback_cause=replace(cause, sentence=clean(cause.sentence))
        if cause is not None
        else None,
        unfinished=clean(record.unfinished),
        url=clean(record.url),
        notes={clean(name): clean(text) for name, text in record.notes.items()},
    )


def record_from(body: str) -> RolloutRecord:
    """Read a body of :func:`record_body`, or of an earlier version.

    Raises:
        StoreError: the text is not a record, or a newer version wrote it.
    """
    try:
        data = json.loads(body)
        if (found := data.get("format", 1)) > FORMAT:
            raise StoreError(
                f"a rollout's record has format {found}, this program knows {FORMAT}: a newer version wrote it",
                hint=_HINT_NEWER,
            )
        return _record(upgrade_record(data))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError("a rollout's record cannot be read", hint=HINT_DAMAGED) from error


def _record(data: dict[str, Any]) -> RolloutRecord:
    ended_at, cause = data["ended_at"], data["rollback_cause"]
    point, build, policy = data["restore_point"], data["build"], data.get("policy")
    record = RolloutRecord(
        rollout_id=RolloutId(data["rollout_id"]),
        environment=EnvironmentName(data["environment"]),
        purpose=data["purpose"],
        actor=Actor(**data["actor"]),
        began_at=datetime.fromisoformat(data["began_at"]),
        state=State(data["state"]),
        ended_at=datetime.fromisoformat(ended_at) if ended_at is not None else None,
        baseline=_revision(data["baseline"]),
        candidate=_revision(data["candidate"]),
        verification=_revision(data["verification"]),
        variants={
            VariantName(name): RevisionName(revision)
            for name, revision in data.get("variants", {}).items()
        },
        serving=_revision(data["serving"]),
        reason_code=data["reason_code"],
        reason=data["reason"],
        deploy_reason=data["deploy_reason"],
        digest=data["digest"],
        config_digest=data["config_digest"],
        checks_digest=data["checks_digest"],
        approval=data["approval"],
        overrides=dict(data["overrides"]),
        watchdog_pid=data["watchdog_pid"],
        built=_revision(data["built"]),
        backup=data["backup"],
        restore_point=_point(point) if point is not None else None,
        redeployed=_revision(data["redeployed"]),
        build=_build(build) if build is not None else None,
        inventory={gate: tuple(checks) for gate, checks in data["inventory"].items()},
        policy=policy_from(policy) if policy is not None else None,
        scores={Phase(phase): Fraction(text) for phase, text in data["scores"].items()},
        gates={name: _gate(gate) for name, gate in data["gates"].items()},
        not_passed={check: CheckState(state) for check, state in data["not_passed"].items()},
        measurements={
            Phase(phase): tuple(map(Measurement.from_json, measured))
            for phase, measured in data["measurements"].items()
        },
        # records that were written before there were plugins, steps, warnings and drills have none
        plugins=dict(data.get("plugins", {})),
        warnings=dict(data.get("warnings", {})),
        steps=tuple(map(_step, data.get("steps", ()))),
        detached_until=_moment(data.get("detached_until")),
        step_percent=data.get("step_percent", 0),
        fresh_baseline=_revision(data.get("fresh_baseline")),
        drill_s=data.get("drill_s"),
        rollback_s=data["rollback_s"],
        rollback_error=data["rollback_error"],
        rollback_cause=_reason(cause) if cause is not None else None,
        unfinished=data["unfinished"],
        url=data["url"],
        notes=dict(data["notes"]),
    )
    if unknown := sorted(set(data) - {"format", *RolloutRecord._fields}):
        raise StoreError(
            f"the record of rollout {record.rollout_id} has an unknown field "
            f"({unknown[0]}): a newer version wrote it",
            hint=_HINT_NEWER,
        )
    return record


def _step(data: dict[str, Any]) -> RecordedStep:
    measured = {
        name: MeasuredPairs(tuple(starmap(Pair, one["pairs"])), one["problem"])
        for name, one in data.get("measured", {}).items()
    }
    return RecordedStep(**{**data, "measured": measured, "began_at": _moment(data.get("began_at"))})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


def _revision(name: str | None) -> RevisionName | None:
    return RevisionName(name) if name is not None else None


def _point_document(point: RestorePoint) -> dict[str, object]:
    return {
        "existed": point.existed,
        "before": str(point.before),
        "restore_to": str(point.restore_to),
        "leaves": str(point.leaves) if point.leaves is not None else None,
        "was_public": point.was_public,
        "digest": point.digest,
        "config_digest": point.config_digest,
    }


def _point(data: dict[str, Any]) -> RestorePoint:
    traffic = {
        name: Traffic.parse(data[name]) if data[name] is not None else None
        for name in ("before", "restore_to", "leaves")
    }
    return RestorePoint(**{**data, **traffic})


def _build_document(build: BuildProvenance) -> dict[str, object]:
    return {
        "image": build.image,
        "secrets": {key: secret._asdict() for key, secret in build.secrets.items()},
        "base_image": build.base_image,
        "updates_base_image": build.updates_base_image,
        "differs_in": list(build.differs_in) if build.differs_in is not None else None,
        "variants_differ_in": {n: list(names) for n, names in build.variants_differ_in.items()},
    }


def _build(data: dict[str, Any]) -> BuildProvenance:
    differs_in = data["differs_in"]
    return BuildProvenance(
        image=data["image"],
        secrets={key: SecretRef(**secret) for key, secret in data["secrets"].items()},
        base_image=data["base_image"],
        updates_base_image=data["updates_base_image"],
        differs_in=tuple(differs_in) if differs_in is not None else None,
        variants_differ_in={
            VariantName(name): tuple(variables)
            for name, variables in data.get("variants_differ_in", {}).items()
        },
    )


def _gate_document(gate: RecordedGate) -> dict[str, object]:
    score = gate.score
    return {"passed": score.passed, "counted": score.counted, "outcome": gate.outcome.value}


def _gate(data: dict[str, Any]) -> RecordedGate:
    score = Score(passed=data["passed"], counted=data["counted"])
    return RecordedGate(score=score, outcome=Outcome(data["outcome"]))


def _reason_document(reason: Reason) -> dict[str, object]:
    return {"code": reason.code.value, "sentence": reason.sentence, "subject": reason.subject}


def _reason(data: dict[str, Any]) -> Reason:
    return Reason(**{**data, "code": ReasonCode(data["code"])})
