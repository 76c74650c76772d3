"""An amount of memory: one quantity, one parser, one unit in which it is measured and judged.

**MB is a million bytes** here, wherever a number of memory has a name or a unit of its own (``memory_usage_mb``,
``memory_mb``, ``unit="MB"``), whoever measures: the letters mean that (SI, and Google's own ``M`` beside ``Mi``), and
of the two readings it gives the larger figure, so that a bound is reached sooner and not later.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_UNITS: Final = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
"""Bytes by suffix as the API has it: quantities of Kubernetes (``ServiceConfig.available_memory``)."""
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)(?:([kKMGT])(i?))?B?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Memory:
    """An amount of memory, exact to the byte."""

    size_bytes: int

    @classmethod
    def parse(cls, text: str) -> "Memory":
        """Read what Google writes and reads: ``512Mi``, ``1Gi``, ``512M``, ``1GiB``, ``256MB``, ``536870912``.

        ``i`` makes a unit binary, with or without ``B`` after it; ``MB`` is ``M``, as gcloud has it.
        A plain number is bytes, as in the API. A fraction of a byte is rounded up.

        Raises:
            ValueError: it is none of these, or nothing at all.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"not an amount of memory: {text!r} (write 512Mi or 1Gi)")
        letter, binary = found[2] or "", found[3] or ""
        unit = letter if binary or letter != "K" else "k"
        unit = "K" + binary if binary and letter == "k" else unit + binary
        size = Fraction(found[1]) * _UNITS[unit]
        if not size:
            raise ValueError(f"not an amount of memory: {text!r} is nothing")
        return cls(size_bytes=-(-size.numerator // size.denominator))

    @property
    def mb(self) -> float:
        """In MB, a million bytes each."""
        return self.size_bytes / 10**6

    @property
    def mib(self) -> float:
        """In MiB, 2**20 bytes each: only for words and limits of Google's that have them."""
        return self.size_bytes / 2**20

    @property
    def api_text(self) -> str:
        """As the API has it, in the unit that gives the smallest whole number: ``1Gi``, ``256M``."""
        number, unit = self._number_and_suffix()
        return f"{number}{unit}"

    @property
    def gcloud_text(self) -> str:
        """As a person types it after ``gcloud functions deploy --memory=``: ``1GiB``, ``256MB``.

        A number without a unit would be read as MB there, so bytes that no unit divides are rounded up to KB.
        """
        number, unit = self._number_and_suffix()
        if not unit:
            number, unit = -(-self.size_bytes // 1000), "k"
        return f"{number}{unit.replace('k', 'K')}B"

    def _number_and_suffix(self) -> tuple[int, str]:
        """Number and suffix."""
        return min(
            (self.size_bytes // size, unit)
            for unit, size in _UNITS.items()
            if self.size_bytes % size == 0
        )
