"""Findings of the preflight, before a rollout begins."""

from typing import NamedTuple


class PreflightFinding(NamedTuple):
    """One finding; a blocking one ends the rollout before it changes anything."""

    is_blocking: bool
    sentence: str
    hint: str = ""
    is_setting: bool = False
    """Whether a setting is wrong, whatever the platform's state."""
