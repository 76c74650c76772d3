"""Upgrades bodies of earlier versions when they are read; the database itself does not change.

A record is written again only if its rollout continues. A journal entry never is, because the hashes of later entries
cover its text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.record import EffectFailure, EntryKind, StepDetails

Document = dict[str, Any]

_ENDED: Final = frozenset(("BuildFailed", "StartFailed"))
_NOT_APPLIED: Final = frozenset(
    (
        *("DeployGateError", "ConfigError", "PolicyRefused", "LeaseHeld", "LeaseLost", "Drifted"),
        *("StoreError", "JournalDamaged", "TargetError", "TargetRefused", "TargetUnavailable"),
    )
)
"""Names of errors in format 1; with any other name, the result of the effect is unknown."""
_NUMBER: Final = re.compile(r"[-+0-9.e]+")


def typed_fields(old: Document) -> Document:
    """Format 1 to 2: the texts in ``facts`` and ``measurements`` become typed fields.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the body is damaged.
    """
    facts = dict(old["facts"])
    named = {name: facts.pop(name, "") for name in _TEXTS}
    scores = _take_facts(facts, "score.")
    is_watched = facts.pop("watchdog", "off") != "off"
    new = {
        name: value for name, value in old.items() if name not in ("facts", "verify", "score")
    } | {
        "format": 2,
        "verification": old["verify"],
        "config_digest": named["config"],
        "checks_digest": named["checks_digest"],
        "approval": "",
        "deploy_reason": named["deploy_reason"],
        "rollback_error": named["rollback_error"],
        "unfinished": named["unfinished"],
        "url": named["url"],
        "overrides": _take_facts(facts, "override."),
        "watchdog_pid": int(old["facts"]["watchdog"]) if is_watched else None,
        "restore_point": _restore_point(facts),
        "built": facts.pop("built", None),
        "redeployed": facts.pop("redeployed", None),
        "build": _build(facts),
        "scores": scores,
        "gates": {name: _gate(text) for name, text in old["gates"].items()},
        "not_passed": _take_facts(facts, "check."),
        "measurements": _measurements(old["measurements"], facts),
        "rollback_s": _seconds(facts.pop("rollback_seconds", None)),
        "rollback_cause": _cause(facts),
    }
    # All other facts were only for display.
    return new | {"notes": facts}


UPGRADES: Final[tuple[Callable[[Document], Document], ...]] = (typed_fields,)
"""Each upgrades format ``n`` to ``n + 1``; never change a released one."""
FORMAT: Final = len(UPGRADES) + 1
"""The format of new bodies."""

_TEXTS: Final = ("config", "checks_digest", "deploy_reason", "rollback_error", "unfinished", "url")


def upgrade_record(body: Document) -> Document:
    """``body`` in the newest format; a body without a format has format 1."""
    for upgrade in UPGRADES[body.get("format", 1) - 1 :]:
        body = upgrade(body)
    return body


def details_of_facts(kind: EntryKind, facts: Mapping[str, str]) -> StepDetails:
    """Details of a journal entry of format 1, which has one mapping of texts."""
    revision, failure = facts.get("revision"), None
    if kind is EntryKind.OBSERVED and "error" in facts:
        name = facts["error"]
        failure = EffectFailure.ENDED if name in _ENDED else EffectFailure.UNKNOWN
        if name in _NOT_APPLIED:
            failure = EffectFailure.NOT_APPLIED
    return StepDetails(
        operation=facts.get("operation", ""),
        revision=RevisionName(revision) if revision is not None else None,
        failure=failure,
        notes={n: text for n, text in facts.items() if n not in ("operation", "revision")},
    )


def _take_facts(facts: dict[str, str], prefix: str) -> dict[str, str]:
    """Remove the facts whose names start with ``prefix``; return them without it."""
    names = [name for name in facts if name.startswith(prefix)]
    return {name.removeprefix(prefix): facts.pop(name) for name in names}


def _restore_point(facts: dict[str, str]) -> Document | None:
    """The parts were written together: if one is missing, the record is damaged; if all are, nothing was observed."""
    names = ("existed", "traffic", "restore_to", "baseline_digest", "baseline_config")
    was_public, leaves = facts.pop("public", None), facts.pop("leaves", None)
    if not any(name in facts for name in names):
        return None
    existed, before, restore_to, digest, config = (facts.pop(name) for name in names)
    return {
        "existed": _parse_bool(existed),
        "before": before,
        "restore_to": restore_to,
        "leaves": leaves,
        "was_public": _parse_bool(was_public) if was_public is not None else None,
        "digest": digest,
        "config_digest": config,
    }


def _parse_bool(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _build(facts: dict[str, str]) -> Document | None:
    image, secrets = facts.pop("build", None), facts.pop("secrets", "")
    differs_in, base_image = facts.pop("verify_differs_in", None), facts.pop("base_image", "")
    updates = facts.pop("base_image_updates", None)
    if image is None:
        return None
    return {
        "image": image,
        "secrets": dict(_secret(text) for text in secrets.split(",") if text),
        "base_image": base_image,
        "updates_base_image": updates == "automatic" if updates is not None else None,
        "differs_in": [n for n in differs_in.split(",") if n] if differs_in is not None else None,
    }


def _secret(text: str) -> tuple[str, Document]:
    """Read ``KEY=name:version``; format 1 has no project."""
    key, _, secret = text.partition("=")
    name, _, version = secret.rpartition(":")
    return key, {"name": name, "version": version, "project": ""}


def _gate(text: str) -> Document:
    """Read ``4/5 PASSED``."""
    score, outcome = text.split(" ")
    passed, counted = score.split("/")
    return {"passed": int(passed), "counted": int(counted), "outcome": outcome}


def _measurements(old: Mapping[str, str], facts: dict[str, str]) -> dict[str, list[Document]]:
    """Read pairs of ``candidate.error_rate@REVISION`` and ``0.1 s``; format 1 does not name the check.

    A redacted text is not a number and goes to ``facts``.
    """
    found: dict[str, list[Document]] = {}
    for name, text in old.items():
        phase, _, label = name.partition(".")
        number, _, unit = text.partition(" ")
        measured, _, revision = label.partition("@")
        if _NUMBER.fullmatch(number) is None:
            facts[name] = text
            continue
        one: Document = {"name": measured, "value": number, "unit": unit}
        found.setdefault(phase, []).append(one | ({"revision": revision} if revision else {}))
    return found


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None else None


def _cause(facts: dict[str, str]) -> Document | None:
    sentence, code = facts.pop("broke_because", None), facts.pop("broke_code", "process_lost")
    return None if sentence is None else {"code": code, "sentence": sentence, "subject": ""}
