"""Finds rows that hold copies of another row's values instead of their own.

The incident behind it: rows 44 to 130 of an order carried the price and quantity of the first product, and the text
"Traditional D-code format". No value is suspicious by itself ($1.60 x 24 is what XS9826A really costs): what counts is
how often values repeat, compared with how often they repeat in the truth.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from pytest_deploygate.checks.accuracy import Record
from pytest_deploygate.checks.measures import Measure, canonical_column

PLACEHOLDER_TEXTS = ("traditional d-code format",)
SHARE_ALLOWANCE = Fraction(5, 100)
"""By how much more of all rows one pair of values may be repeated than in the truth."""
LEAST_DISTINCT_PRICES = Fraction(80, 100)
"""Share of the truth's distinct prices that must be found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceholderReport:
    """``findings`` are sentences, empty when the rows are their own; the figures are what they are judged by."""

    findings: tuple[str, ...]
    first_share: Fraction
    """Share of rows whose (price, quantity) is that of row 1."""
    commonest_share: Fraction
    """Share of rows with the commonest (price, quantity)."""
    longest_run: int
    """Most rows in a row with one (price, quantity)."""
    distinct_prices: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def find_placeholders(
    golden: Sequence[Record],
    extracted: Sequence[Record],
    *,
    price: str = "price",
    quantity: str = "quantity",
    text: str = "description",
) -> PlaceholderReport:
    """Hold the repetition of values in ``extracted`` (in the order of the rows) against that in ``golden``.

    No rows at all are a finding: what is not there shows nothing.
    """
    true_pairs, pairs = _pairs(golden, price, quantity), _pairs(extracted, price, quantity)
    findings = [
        f"row {n} says {str(record.get(text))[:60]!r}"
        for n, record in enumerate(extracted, start=1)
        if any(phrase in str(record.get(text)).casefold() for phrase in PLACEHOLDER_TEXTS)
    ]
    if not pairs:
        findings.append("there are no rows")
    first, allowed_first = _first_share(pairs), _first_share(true_pairs) + SHARE_ALLOWANCE
    if first > allowed_first:
        findings.append(_share("have the price and quantity of row 1", first, allowed_first))
    common, allowed_common = _commonest(pairs), _commonest(true_pairs) + SHARE_ALLOWANCE
    if common > allowed_common:
        findings.append(_share("have one and the same price and quantity", common, allowed_common))
    distinct, needed = _distinct(pairs), LEAST_DISTINCT_PRICES * _distinct(true_pairs)
    if distinct < needed:
        findings.append(
            f"{distinct} distinct prices, at least {float(needed):g} are needed ({_distinct(true_pairs)} in the truth)"
        )
    return PlaceholderReport(
        findings=tuple(findings),
        first_share=first,
        commonest_share=common,
        longest_run=max((len(list(run)) for _, run in groupby(pairs)), default=0),
        distinct_prices=distinct,
    )


_Pair = tuple[str | None, str | None]


def _pairs(records: Sequence[Record], price: str, quantity: str) -> list[_Pair]:
    prices = canonical_column([r.get(price) for r in records], Measure.CENTS)
    quantities = canonical_column([r.get(quantity) for r in records], Measure.NUMBER)
    return list(zip(prices, quantities, strict=True))


def _first_share(pairs: Sequence[_Pair]) -> Fraction:
    return Fraction(pairs.count(pairs[0]), len(pairs)) if pairs else Fraction(0)


def _commonest(pairs: Sequence[_Pair]) -> Fraction:
    return Fraction(max(Counter(pairs).values()), len(pairs)) if pairs else Fraction(0)


def _distinct(pairs: Iterable[_Pair]) -> int:
    return len({price for price, _ in pairs if price is not None})


def _share(what: str, share: Fraction, allowed: Fraction) -> str:
    return f"{float(share):.0%} of the rows {what}; the truth allows {float(allowed):.0%}"
