"""What must hold for a promotion: gates, phases, triggers. Thresholds are exact fractions made from text."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from fractions import Fraction
from typing import Annotated, Final

from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.setting import Place, Setting


@unique
class Leniency(Enum):
    """What a gate makes of a skipped or a flaky check."""

    FAIL = "fail"
    ALLOW = "allow"


_SKIPS: Final = Setting(
    "what a skipped check is: `fail` is no pass; `allow` takes it out of the denominator",
    example='"allow"',
)
_LEAST_CHECKS: Final = Setting(
    "fewer checks that ran make the gate UNKNOWN", example="8", at_least=1
)
_AS_THERE: Final = "as in `[tool.deploygate.gates.NAME]`"
_OF_PHASE: Final = "that of the phase, see above"
_THRESHOLD: Final = Setting("", example="0.95", at_least=0, at_most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A named requirement of one phase. A check belongs to it by path (``paths``) or by ``marker``."""

    name: Annotated[str, Place.NAME]
    phase: Annotated[Phase, Setting("when its checks run", example='"candidate"')]
    paths: Annotated[
        tuple[str, ...],
        Setting(
            "its checks are the tests below these paths, relative to the project",
            example='["suites/health"]',
            is_a="a path",
            is_filled=True,
            parse=lambda text: text.rstrip("/"),
            group="checks",
        ),
    ] = ()
    marker: Annotated[
        str,
        Setting(
            "its checks are the tests with this marker, beside those below `paths`",
            example='"smoke"',
            is_a="the name of a marker",
            pattern="[A-Za-z_][A-Za-z0-9_-]*",
            group="checks",
        ),
    ] = ""
    threshold: Annotated[
        Fraction,
        _THRESHOLD._replace(help="ratio of checks that must pass; 0.95 is exactly 19 of 20"),
    ] = Fraction(1)
    weight: Annotated[
        Fraction, Setting("counts in the ratio of the phase", example="2", above=0)
    ] = Fraction(1)
    required: Annotated[bool, Setting("whether the phase can hold without it", example="false")] = (
        True
    )
    least_checks: Annotated[int, _LEAST_CHECKS] = 1
    skips: Annotated[Leniency, _SKIPS] = Leniency.FAIL
    flaky: Annotated[
        Leniency,
        Setting(
            "what a check that passed only when it was run again is: `fail` no pass; `allow` a pass",
            example='"allow"',
        ),
    ] = Leniency.FAIL
    needs_at_most_s: Annotated[
        int | None,
        Setting(
            "what its checks take at most by their own limits; the budget of the phase must be enough for all gates",
            example="60",
            unit="seconds",
            at_least=1,
            default="not said",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOverride:
    """What one environment says of a gate, where some of its checks cannot run; None leaves it as it is."""

    skips: Annotated[Leniency | None, _SKIPS._replace(default=_AS_THERE)] = None
    least_checks: Annotated[int | None, _LEAST_CHECKS._replace(default=_AS_THERE)] = None

    def apply(self, gate: Gate) -> Gate:
        """``gate`` as it is in that environment."""
        return replace(
            gate,
            skips=gate.skips if self.skips is None else self.skips,
            least_checks=gate.least_checks if self.least_checks is None else self.least_checks,
        )


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

    name: Annotated[str, Place.NAME]
    conditions: Annotated[
        tuple[Condition, ...],
        Setting(
            "conditions on measurements; one that holds is enough",
            key="fires-when",
            example='["error_rate > 0.10"]',
            is_a='a condition "measurement comparison number"; comparisons are <, >, <= and >=',
            pattern=r"[A-Za-z_][A-Za-z0-9_]* (<|>|<=|>=) -?[0-9]+(\.[0-9]+)?",
            is_filled=True,
            parse=Condition.parse,
        ),
    ]
    severity: Annotated[
        Severity, Setting("of triggers that fired the most severe is told first", example='"high"')
    ]
    needed_in: Annotated[
        tuple[Phase, ...],
        Setting(
            "phases in which a missing measurement makes the verdict UNKNOWN",
            example='["candidate", "live"]',
        ),
    ] = (Phase.LIVE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePolicy:
    """``threshold`` for the weighted ratio over the phase's gates; ``budget_s`` ends a phase that never ends."""

    threshold: Annotated[
        Fraction,
        _THRESHOLD._replace(
            help="weighted ratio over the gates of the phase that must be reached",
            default=_OF_PHASE,
        ),
    ]
    budget_s: Annotated[
        int,
        Setting(
            "ends a phase that never ends",
            example="300",
            unit="seconds",
            at_least=1,
            default=_OF_PHASE,
        ),
    ]


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
