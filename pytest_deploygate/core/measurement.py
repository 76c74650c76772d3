"""A number that was measured, in the one form in which it is made, carried, recorded, shown and judged.

A check calls ``measure``; the number travels as JSON in the properties of its report, is held against triggers as an
exact fraction, and is recorded with its unit and its source. Text is made of it for people only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_MEMBERS: Final = ("name", "value", "unit", "check", "revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number that ``check`` measured, or the platform of ``revision``; one of the two is empty.

    ``value`` is exact to the shortest decimal text of what was measured; ``unit`` is free text such as ``s`` or ``MB``.
    """

    name: str
    value: Fraction
    unit: str = ""
    check: str = ""
    revision: str = ""

    @classmethod
    def of(
        cls, name: str, value: object, *, unit: str = "", check: str = "", revision: str = ""
    ) -> "Measurement":
        """A measurement from a plain number.

        Raises:
            ValueError: NaN, infinity, or a number that no float can come near to.
            TypeError: not an int, float or Fraction (a bool is not a number here).
        """
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
            raise TypeError(
                f"measurement {name!r} needs a number, got {type(value).__name__}: {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"measurement {name!r} needs a finite number, got {value!r}")
        # float.__repr__: subclasses (numpy.float64) have words of their own around the number
        exact = Fraction(float.__repr__(value) if isinstance(value, float) else value)
        try:
            float(exact)
        except OverflowError as error:
            raise ValueError(f"measurement {name!r} needs a number below 1e308") from error
        return cls(name=name, value=exact, unit=unit, check=check, revision=revision)

    @property
    def is_by_platform(self) -> bool:
        """Whether the platform measured it, and not a check."""
        return bool(self.revision)

    @property
    def label(self) -> str:
        """Its name, with the revision where the platform measured it."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def text(self) -> str:
        """Number and unit for people, to nine digits."""
        return f"{float(self.value):.9g} {self.unit}".rstrip()

    def to_json(self) -> dict[str, str | int | float]:
        """Members of a JSON object; :meth:`from_json` gives an equal measurement back.

        ``value`` is a number where JSON's numbers are exact for it, else a text such as ``1/3``. An empty source is
        left out.
        """
        document: dict[str, str | int | float] = {
            "name": self.name,
            "value": _number(self.value),
            "unit": self.unit,
        }
        sources = {"check": self.check, "revision": self.revision}
        return document | {name: text for name, text in sources.items() if text}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> "Measurement":
        """The measurement of which :meth:`to_json` made ``document``.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        if unknown := sorted(set(document) - set(_MEMBERS)):
            raise ValueError(f"a measurement has no {unknown[0]!r}")
        value = document["value"]
        texts = {name: document.get(name, "") for name in _MEMBERS if name != "value"}
        if not all(isinstance(text, str) for text in texts.values()) or not texts["name"]:
            raise TypeError("a measurement needs a name, and its unit and source are texts")
        number = Fraction(value) if isinstance(value, str) else value
        name, unit, check, revision = map(str, texts.values())
        return cls.of(name, number, unit=unit, check=check, revision=revision)


def _number(value: Fraction) -> int | float | str:
    if value.denominator == 1:
        return value.numerator
    near = float(value)
    return near if Fraction(repr(near)) == value else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the platform says of one revision; ``problems`` are sentences on what it could not be asked."""

    measurements: tuple[Measurement, ...] = ()
    problems: tuple[str, ...] = ()
