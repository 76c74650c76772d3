"""What is found before a rollout begins."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that preflight found; a blocking one ends the rollout before anything is touched."""

    is_blocking: bool
    sentence: str
    hint: str = ""
