"""Policy of a promotion: gates, phases, triggers. Thresholds are exact fractions, read from text."""

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from fractions import Fraction
from typing import Annotated, Final

from pytest_deploygate.core.enforcement import ENFORCE, Enforcement
from pytest_deploygate.core.identifiers import Phase, Severity
from pytest_deploygate.core.objective import Objective
from pytest_deploygate.core.setting import Place, Setting


@unique
class Leniency(Enum):
    """How a gate counts a skipped or a flaky check."""

    FAIL = "fail"
    ALLOW = "allow"


@unique
class Asking(Enum):
    """How the checks of a candidate gate call the revision that they judge."""

    CLIENTS = "clients"
    ITSELF = "itself"
    NOTHING = "nothing"


_SKIPS: Final = Setting(
    "how a skipped check counts: `fail` as not passed; `allow` takes it out of the denominator",
    example='"allow"',
)
_LEAST_CHECKS: Final = Setting("the gate is UNKNOWN if fewer checks ran", example="8", at_least=1)
_AS_THERE: Final = "as in `[tool.deploygate.gates.NAME]`"
_OF_PHASE: Final = "the default of the phase, see above"
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
        Fraction, Setting("weight in the ratio of the phase", example="2", above=0)
    ] = Fraction(1)
    required: Annotated[
        bool, Setting("whether the phase holds only if this gate passes", example="false")
    ] = True
    least_checks: Annotated[int, _LEAST_CHECKS] = 1
    skips: Annotated[Leniency, _SKIPS] = Leniency.FAIL
    flaky: Annotated[
        Leniency,
        Setting(
            "how a check that passed only after a rerun counts: `fail` as not passed; `allow` as passed",
            example='"allow"',
        ),
    ] = Leniency.FAIL
    asks: Annotated[
        Asking,
        Setting(
            "how the checks of a candidate gate call the candidate or the verification revision: `clients`, with the "
            "clients of the fixtures, and the gate is UNKNOWN if neither revision answered; `itself`, with their own "
            "client, such as a browser; `nothing`, they call neither",
            example='"itself"',
        ),
    ] = Asking.CLIENTS
    needs_at_most_s: Annotated[
        int | None,
        Setting(
            "longest time that its checks take, by their own limits; the budget of the phase must cover all gates",
            example="60",
            unit="seconds",
            at_least=1,
            default="not given",
        ),
    ] = None
    enforce: Annotated[Enforcement, ENFORCE] = Enforcement.BLOCK
    environments: Annotated[
        tuple[str, ...],
        Setting(
            "environments that it judges, for a project with several functions",
            example='["local"]',
            is_a="names of environments",
            default="all",
        ),
    ] = ()

    def judges(self, environment: str) -> bool:
        """Whether it judges ``environment``."""
        return not self.environments or environment in self.environments


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOverride:
    """Overrides of a gate in one environment, where some of its checks cannot run; None changes nothing."""

    skips: Annotated[Leniency | None, _SKIPS._replace(default=_AS_THERE)] = None
    least_checks: Annotated[int | None, _LEAST_CHECKS._replace(default=_AS_THERE)] = None

    def apply(self, gate: Gate) -> Gate:
        """``gate`` with the overrides."""
        return replace(
            gate,
            skips=gate.skips if self.skips is None else self.skips,
            least_checks=gate.least_checks if self.least_checks is None else self.least_checks,
        )


@unique
class Comparison(Enum):
    """How a trigger compares a measured value with its bound."""

    BELOW = "<"
    ABOVE = ">"
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, value: Fraction, bound: Fraction) -> bool:
        """Whether the comparison of ``value`` with ``bound`` holds."""
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

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read ``NAME < NUMBER`` (also ``>``, ``<=``, ``>=``).

        Raises:
            ValueError: the text does not have that form.
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
    """Fires if a condition holds for a measurement; in the phases of ``needed_in`` all must be measured."""

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
        Severity, Setting("the most severe trigger that fired is listed first", example='"high"')
    ]
    needed_in: Annotated[
        tuple[Phase, ...],
        Setting(
            "phases in which a missing measurement makes the verdict UNKNOWN",
            example='["candidate", "live"]',
        ),
    ] = (Phase.LIVE,)
    enforce: Annotated[Enforcement, ENFORCE] = Enforcement.BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePolicy:
    """``threshold`` of the weighted ratio over the phase's gates; ``budget_s`` limits the duration of the phase."""

    threshold: Annotated[
        Fraction,
        _THRESHOLD._replace(
            help="weighted ratio that the gates of the phase must reach",
            default=_OF_PHASE,
        ),
    ]
    budget_s: Annotated[
        int,
        Setting(
            "longest duration of the phase",
            example="300",
            unit="seconds",
            at_least=1,
            default=_OF_PHASE,
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All gates, triggers, objectives and phases. Gate names are unique."""

    gates: tuple[Gate, ...]
    phases: Mapping[Phase, PhasePolicy]
    triggers: tuple[Trigger, ...] = ()
    objectives: tuple[Objective, ...] = ()

    def gates_of(self, phase: Phase) -> tuple[Gate, ...]:
        """Gates of one phase in the order of the settings."""
        return tuple(gate for gate in self.gates if gate.phase is phase)

    def of_phases(self, phases: Collection[Phase]) -> "Policy":
        """What judges ``phases``: their gates, and all triggers; objectives belong to steps."""
        return replace(
            self,
            gates=tuple(gate for gate in self.gates if gate.phase in phases),
            phases={phase: its for phase, its in self.phases.items() if phase in phases},
            objectives=(),
        )

    def gate(self, name: str) -> Gate:
        """The gate of that name; KeyError if there is none."""
        return {gate.name: gate for gate in self.gates}[name]
