"""Digest of a plan: the deployment must equal the plan that an operator approved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Digest, RevisionName
from pytest_deploygate.core.policy import Policy


def plan_digest(
    *,
    package: Digest,
    config: Digest,
    policy: Policy,
    baseline: RevisionName | None,
    steps: tuple[TrafficStep, ...],
    is_fresh: bool = False,
) -> Digest:
    """One digest over source, settings, policy, the revision that will be replaced, and the steps of its traffic.

    ``baseline`` is None for a first release, ``is_fresh`` says that the steps compare with a new revision of it. A
    change of any of them changes the digest.
    """
    facts = [package, config, _plain(policy), baseline, _plain(steps)]
    if is_fresh:
        facts.append("fresh")
    text = json.dumps(facts, sort_keys=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _plain(value: object) -> object:
    """``value`` as JSON types; different values give different results."""
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return repr(value)
