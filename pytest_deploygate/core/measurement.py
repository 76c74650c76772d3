"""A measurement, in the one form in which it is taken, transported, recorded, shown and judged.

A check calls ``measure``; the number travels as JSON in the properties of the check's report, triggers compare it as an
exact fraction, and the record keeps it with unit and source. It becomes text only for display.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

_MEMBERS: Final = ("name", "value", "unit", "check", "revision", "side")
CANDIDATE_SIDE: Final = "candidate"
BASELINE_SIDE: Final = "baseline"
_SIDES: Final = ("", CANDIDATE_SIDE, BASELINE_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A number that ``check`` measured, or that the platform measured of ``revision``; the other one is empty.

    ``value`` is exactly the shortest decimal text of the number; ``unit`` is free text such as ``s`` or ``MB``.
    ``side`` says which of both a check measured that compares them at a step: ``candidate`` or ``baseline``.
    """

    name: str
    value: Fraction
    unit: str = ""
    check: str = ""
    revision: str = ""
    side: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        value: object,
        *,
        unit: str = "",
        check: str = "",
        revision: str = "",
        side: str = "",
    ) -> "Measurement":
        """Create a measurement from a plain number.

        Raises:
            ValueError: NaN, infinity, a number beyond the range of a float, or a side that there is not.
            TypeError: not an int, float or Fraction (a bool is not a number here).
        """
        if side not in _SIDES:
            raise ValueError(
                f'measurement {name!r} needs side="candidate" or "baseline", got {side!r}'
            )
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
            raise TypeError(
                f"measurement {name!r} needs a number, got {type(value).__name__}: {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"measurement {name!r} needs a finite number, got {value!r}")
        # float.__repr__, because subclasses (numpy.float64) print more than the number
        exact = Fraction(float.__repr__(value) if isinstance(value, float) else value)
        try:
            float(exact)
        except OverflowError as error:
            raise ValueError(f"measurement {name!r} needs a number below 1e308") from error
        return cls(name=name, value=exact, unit=unit, check=check, revision=revision, side=side)

    @property
    def is_by_platform(self) -> bool:
        """Whether the platform measured it, not a check."""
        return bool(self.revision)

    @property
    def label(self) -> str:
        """Its name, with the revision if the platform measured it, or the side that a check named."""
        of = self.revision or self.side
        return f"{self.name}@{of}" if of else self.name

    @property
    def text(self) -> str:
        """Number and unit for display, to nine digits."""
        return f"{float(self.value):.9g} {self.unit}".rstrip()

    def to_json(self) -> dict[str, str | int | float]:
        """Members of a JSON object; :meth:`from_json` returns an equal measurement.

        ``value`` is a number if a JSON number is exact for it, else a text such as ``1/3``. An empty source is left
        out.
        """
        document: dict[str, str | int | float] = {
            "name": self.name,
            "value": _number(self.value),
            "unit": self.unit,
        }
        sources = {"check": self.check, "revision": self.revision, "side": self.side}
        return document | {name: text for name, text in sources.items() if text}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> "Measurement":
        """Read a ``document`` of :meth:`to_json`.

        Raises:
            ValueError, TypeError, KeyError: it is not a measurement.
        """
        if unknown := sorted(set(document) - set(_MEMBERS)):
            raise ValueError(f"a measurement has no {unknown[0]!r}")
        value = document["value"]
        texts = {name: document.get(name, "") for name in _MEMBERS if name != "value"}
        if not all(isinstance(text, str) for text in texts.values()) or not texts["name"]:
            raise TypeError("a measurement needs a name, and its unit and source are texts")
        number = Fraction(value) if isinstance(value, str) else value
        name, unit, check, revision, side = map(str, texts.values())
        return cls.of(name, number, unit=unit, check=check, revision=revision, side=side)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSeries:
    """What a check, or the platform of a revision, measured of one thing: ``first``, and all values in order."""

    first: Measurement
    values: Sequence[Fraction]

    @property
    def mean(self) -> Fraction:
        """Mean of all values."""
        return sum(self.values, Fraction()) / len(self.values)

    @property
    def source(self) -> str:
        """Who measured it, of which side, and how often if more than once."""
        by = self.first.check or f"platform: {self.first.revision}"
        side = f", {self.first.side}" if self.first.side else ""
        often = f", mean of {len(self.values)}" if len(self.values) > 1 else ""
        return by + side + often

    @property
    def text(self) -> str:
        """Mean and unit for display, to nine digits."""
        return replace(self.first, value=self.mean).text


def group_measurements(measured: Iterable[Measurement]) -> list[MeasurementSeries]:
    """Group what the same source measured of the same thing, in the order in which each was measured first."""
    found: dict[Measurement, list[Measurement]] = {}
    for one in measured:
        found.setdefault(replace(one, value=Fraction()), []).append(one)
    return [
        MeasurementSeries(first=some[0], values=tuple(one.value for one in some))
        for some in found.values()
    ]


def _number(value: Fraction) -> int | float | str:
    if value.denominator == 1:
        return value.numerator
    near = float(value)
    return near if Fraction(repr(near)) == value else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The platform's measurements of one revision; ``problems`` are sentences on what it did not answer."""

    measurements: tuple[Measurement, ...] = ()
    problems: tuple[str, ...] = ()
