"""What must hold for a promotion: gates, phases, triggers. Thresholds are exact fractions made from text."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from fractions import Fraction
from typing import Final

from pytest_deploygate.core.identifiers import Phase, Severity


@unique
class Leniency(Enum):
    """What a gate makes of a skipped or a flaky check."""

    FAIL = "fail"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A named requirement of one phase. A check belongs to it by path (``paths``) or by ``marker``.

    ``threshold`` in 0..1 is met when reached; ``weight`` > 0 counts in the phase's ratio; ``least_checks`` >= 1.
    ``skips = ALLOW`` takes skipped checks out of the denominator, ``flaky = ALLOW`` counts a flaky one as passed.
    """

    name: str
    phase: Phase
    paths: tuple[str, ...] = ()
    marker: str = ""
    threshold: Fraction = Fraction(1)
    weight: Fraction = Fraction(1)
    required: bool = True
    least_checks: int = 1
    skips: Leniency = Leniency.FAIL
    flaky: Leniency = Leniency.FAIL


@unique
class Comparison(Enum):
    """How a measured value is held against a trigger's bound."""

    BELOW = "<"
    ABOVE = ">"
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, value: Fraction, bound: Fraction) -> bool:
        """Whether ``value`` stands in this relation to ``bound``."""
        return _RELATIONS[self](value, bound)


_RELATIONS: Final[Mapping[Comparison, Callable[[Fraction, Fraction], bool]]] = {
    Comparison.BELOW: operator.lt,
    Comparison.ABOVE: operator.gt,
    Comparison.AT_MOST: operator.le,
    Comparison.AT_LEAST: operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``metric comparison bound``, for instance ``error_rate > 0.10``."""

    metric: str
    comparison: Comparison
    bound: Fraction
    text: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read ``NAME < NUMBER`` (also ``>``, ``<=``, ``>=``).

        Raises:
            ValueError: the text is not of that form.
        """
        parts = text.split()
        if len(parts) != 3 or not parts[0].isidentifier():
            raise ValueError(f"not of the form 'metric < number': {text!r}")
        try:
            bound = Fraction(parts[2])
        except ZeroDivisionError as error:
            raise ValueError(f"not a number: {text!r}") from error
        return cls(metric=parts[0], comparison=Comparison(parts[1]), bound=bound, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Fires when any condition holds for any measurement; in the phases of ``needed_in`` each must be measured."""

    name: str
    conditions: tuple[Condition, ...]
    severity: Severity
    needed_in: tuple[Phase, ...] = (Phase.LIVE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePolicy:
    """``threshold`` for the weighted ratio over the phase's gates; ``budget_s`` ends a phase that never ends."""

    threshold: Fraction
    budget_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All gates, triggers and phases. Gate names are unique."""

    gates: tuple[Gate, ...]
    phases: Mapping[Phase, PhasePolicy]
    triggers: tuple[Trigger, ...] = ()

    def gates_of(self, phase: Phase) -> tuple[Gate, ...]:
        """Gates of one phase in the order of the configuration."""
        return tuple(gate for gate in self.gates if gate.phase is phase)

    def gate(self, name: str) -> Gate:
        """The gate of that name; KeyError if there is none."""
        return {gate.name: gate for gate in self.gates}[name]
