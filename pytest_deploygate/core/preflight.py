"""What is found before a rollout begins."""

from typing import NamedTuple


class PreflightFinding(NamedTuple):
    """One thing that preflight found; a blocking one ends the rollout before anything is touched."""

    is_blocking: bool
    sentence: str
    hint: str = ""
