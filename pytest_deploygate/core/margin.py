"""Margin by which a candidate may be worse than the baseline: percentage points, or a ratio."""

import re
from fractions import Fraction
from typing import NamedTuple

PATTERN = r"[0-9]+(\.[0-9]+)?pp|x[1-9][0-9]*(\.[0-9]+)?"
_MOST_POINTS = Fraction(99, 100)
_FORM = re.compile(r"(?:(?P<points>[0-9.]+)pp|x(?P<ratio>[0-9.]+))")


class Margin(NamedTuple):
    """``1pp``: ``amount`` is a difference of shares, 0..1; ``x1.25``: ``amount`` is a ratio of 1 or more."""

    amount: Fraction
    is_ratio: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> "Margin":
        """Read ``1pp`` or ``x1.25``.

        Raises:
            ValueError: the text does not have that form.
        """
        found = _FORM.fullmatch(text) if re.fullmatch(PATTERN, text) else None
        if found is None:
            raise ValueError(f"neither percentage points nor a ratio: {text!r}")
        if found["ratio"]:
            return cls(Fraction(found["ratio"]), is_ratio=True, text=text)
        points = Fraction(found["points"]) / 100
        if points > _MOST_POINTS:
            raise ValueError(f"more than 99 percentage points are no margin: {text!r}")
        return cls(points, is_ratio=False, text=text)

    def __str__(self) -> str:
        return self.text
