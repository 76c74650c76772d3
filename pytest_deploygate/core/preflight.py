"""Findings of the preflight, before a rollout begins."""

from typing import NamedTuple


class PreflightFinding(NamedTuple):
    """One finding; a blocking one ends the rollout before it changes anything."""

    is_blocking: bool
    sentence: str
    hint: str = ""
