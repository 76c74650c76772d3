"""Durations in the form of settings: ``90s``, ``10m``, ``2h``."""

from typing import Final

PATTERN: Final = "[1-9][0-9]*[smh]"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class Duration(int):
    """Seconds, 1 or more; ``str`` returns the shortest form."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read ``10m``; the text matches :data:`PATTERN`."""
        return cls(int(text[:-1]) * _SECONDS[text[-1]])

    def __str__(self) -> str:
        for unit in ("h", "m"):
            if self % _SECONDS[unit] == 0:
                return f"{int(self) // _SECONDS[unit]}{unit}"
        return f"{int(self)}s"
