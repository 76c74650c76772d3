"""Measures of agreement between two cells, for counting accuracy, and the canonical form of values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum, unique
from fractions import Fraction

from rapidfuzz import fuzz, utils

HALF_CENT = Decimal("0.005")
_MOST_DIGITS = 20
"""A number with more digits before or after the point is not a quantity or amount."""


@unique
class Measure(Enum):
    """How a cell is compared with its golden cell. An empty cell agrees only with an empty cell."""

    EXACT = "exact"
    """The same text, without outer blanks: codes and numbers of articles."""
    CENTS = "cents"
    """The same amount to the cent: at most half a cent apart, because half of $9.99 may be 4.99, 4.995 or 5.00. A ``$``
    and thousands commas are ignored."""
    NUMBER = "number"
    """The same number exactly; ``24``, ``"24"`` and ``24.0`` are one number."""
    TEXT = "text"
    """The same words: the similarity of the texts (lower-case, no punctuation) is at least the rule's pass mark.

    Similarity is twice the number of characters that both share in order, divided by the characters of both, so a
    missing or an additional word lowers it. It is computed with the words in their order and sorted (rapidfuzz
    ``ratio`` and ``token_sort_ratio``), and the greater value counts.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """How one field is compared; ``pass_mark`` (0..1) applies only to :attr:`Measure.TEXT`."""

    name: str
    measure: Measure
    is_key: bool = False
    pass_mark: Fraction = Fraction(9, 10)


def text_similarity(one: str, other: str) -> float:
    """Similarity of two texts as defined for :attr:`Measure.TEXT`, 0..1."""
    here, there = utils.default_process(one), utils.default_process(other)
    return max(fuzz.ratio(here, there), fuzz.token_sort_ratio(here, there)) / 100


def is_right(rule: FieldRule, golden: str | None, found: str | None) -> bool:
    """Whether the canonical cell ``found`` agrees with the canonical cell ``golden``."""
    if golden is None or found is None:
        return golden is found
    if golden == found:
        return True
    match rule.measure:
        case Measure.EXACT | Measure.NUMBER:
            return False
        case Measure.CENTS:
            return _is_half_a_cent_apart(golden, found)
        case Measure.TEXT:
            return text_similarity(golden, found) >= float(rule.pass_mark)


def _is_half_a_cent_apart(golden: str, found: str) -> bool:
    if golden[-3:-2] == "." == found[-3:-2]:
        return False  # both have two decimals, and they are not equal
    one, other = as_number(golden), as_number(found)
    return one is not None and other is not None and abs(one - other) <= HALF_CENT


def canonical_column(column: Sequence[object], measure: Measure) -> list[str | None]:
    """Values in canonical form, where equal values are equal texts; ``None`` is an empty cell (also blank text).

    Amounts have at least two decimals, other numbers no trailing zeros; a value that should be a number and is not
    stays text.
    """
    if measure not in _NUMBERS:
        try:
            texts = list(map(str.strip, column))  # type: ignore[arg-type]  # a value that is not a str raises
        except TypeError:
            pass
        else:
            return texts if all(texts) else [text or None for text in texts]  # type: ignore[return-value]
        return [as_text(value) for value in column]
    # Prices and quantities repeat often, so each value is read once. Equal numbers have one canonical text.
    plain = _PLAIN[measure]
    known = {
        # Golden values are canonical already.
        value: value if isinstance(value, str) and plain(value) else _number_text(value, measure)
        for value in set(column)
    }
    return list(map(known.__getitem__, column))


_NUMBERS = (Measure.CENTS, Measure.NUMBER)


def as_text(value: object) -> str | None:
    """Text without outer blanks, or a number in plain digits (a sheet has codes as numbers); ``None`` if empty."""
    if value is None or isinstance(value, str):
        return (value.strip() or None) if value is not None else None
    number = as_number(value)
    return str(value) if number is None else f"{number.normalize():f}"


def as_number(value: object) -> Decimal | None:
    """A number from ``24``, ``"$1,234.50"``, ``4.995``; ``None`` if the value is empty or not a finite number."""
    text = str(value).replace("$", "").replace(",", "").strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS else None


_PLAIN = {
    Measure.CENTS: re.compile(r"(0|[1-9]\d*)\.\d\d", re.ASCII).fullmatch,
    Measure.NUMBER: re.compile(r"0|[1-9]\d*", re.ASCII).fullmatch,
}


def _number_text(value: object, measure: Measure) -> str | None:
    number = as_number(value)
    if number is None:
        return as_text(value)
    number = abs(number) if not number else number.normalize()  # no -0
    return f"{number:.2f}" if measure is Measure.CENTS and _decimals(number) < 2 else f"{number:f}"


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
