"""The digest of a plan: what a person approves is exactly what is then carried out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from pytest_deploygate.core.identifiers import Digest, RevisionName
from pytest_deploygate.core.policy import Policy


def plan_digest(
    *, package: Digest, config: Digest, policy: Policy, baseline: RevisionName | None
) -> Digest:
    """One digest over the source, the settings, the policy that judges, and what would be replaced.

    ``baseline`` is None for a first release. Any change of one of the four gives another digest.
    """
    facts = [package, config, _plain(policy), baseline]
    text = json.dumps(facts, sort_keys=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _plain(value: object) -> object:
    """``value`` as what JSON can say, different for what is different."""
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return repr(value)
