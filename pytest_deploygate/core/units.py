"""An amount of memory: one quantity, one parser, one unit in which it is measured and judged.

**MB is a million bytes** wherever a number of memory has a name or unit of its own (``memory_usage_mb``,
``memory_mb``, ``unit="MB"``), whether a check or the platform measures it. That is what the letters mean (SI, and
Google's own ``M`` beside ``Mi``), and of the two readings it gives the larger number, so that a measurement reaches a
bound sooner.
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
"""Bytes by suffix of the API: Kubernetes quantities (``ServiceConfig.available_memory``)."""
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)(?:([kKMGT])(i?))?B?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Memory:
    """An amount of memory, exact to the byte."""

    size_bytes: int

    @classmethod
    def parse(cls, text: str) -> "Memory":
        """Read every form that Google uses: ``512Mi``, ``1Gi``, ``512M``, ``1GiB``, ``256MB``, ``536870912``.

        ``i`` makes a unit binary, with or without ``B`` after it; ``MB`` is ``M``, as in gcloud. A plain number is
        bytes, as in the API. A fraction of a byte is rounded up.

        Raises:
            ValueError: it has none of these forms, or is zero.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"not an amount of memory: {text!r} (write 512Mi or 1Gi)")
        letter, binary = found[2] or "", found[3] or ""
        unit = letter if binary or letter != "K" else "k"
        unit = "K" + binary if binary and letter == "k" else unit + binary
        size = Fraction(found[1]) * _UNITS[unit]
        if not size:
            raise ValueError(f"not an amount of memory: {text!r} is zero")
        return cls(size_bytes=-(-size.numerator // size.denominator))

    @property
    def mb(self) -> float:
        """In MB, a million bytes each."""
        return self.size_bytes / 10**6

    @property
    def mib(self) -> float:
        """In MiB, 2**20 bytes each: only for texts and limits of Google that use MiB."""
        return self.size_bytes / 2**20

    @property
    def api_text(self) -> str:
        """In the API's form, with the unit that gives the smallest whole number: ``1Gi``, ``256M``."""
        number, unit = self._number_and_suffix()
        return f"{number}{unit}"

    @property
    def gcloud_text(self) -> str:
        """In the form of ``gcloud functions deploy --memory=``: ``1GiB``, ``256MB``.

        gcloud reads a number without a unit as MB, so bytes that no unit divides are rounded up to KB.
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
