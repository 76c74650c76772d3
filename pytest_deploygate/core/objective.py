"""Objectives: what each step compares between candidate and baseline, and how much worse the candidate may be."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal

from pytest_deploygate.core import margin
from pytest_deploygate.core.enforcement import ENFORCE, Enforcement
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.setting import Place, Setting

ERRORS: Final = "error_rate"
LATENCY: Final = "processing_time_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The candidate must not be worse than the baseline by ``worse_by`` (:mod:`pytest_deploygate.core.comparison`)."""

    name: Annotated[str, Place.NAME]
    metric: Annotated[
        str,
        Setting(
            "what is compared: `error_rate` (server errors per request) or `processing_time_s` (latency) of the "
            "platform, or the name of something that checks of the step phase measure of both sides",
            example='"error_rate"',
            is_a="the name of a metric",
            pattern="[A-Za-z_][A-Za-z0-9_]*",
        ),
    ]
    worse_by: Annotated[
        Margin,
        Setting(
            "how much worse than the baseline is too much: percentage points (of `error_rate`, or of what checks "
            "measure from 0 to 1) or a ratio",
            example='"x1.25"',
            is_a='a margin such as "1pp" or "x1.25"',
            pattern=margin.PATTERN,
            parse=Margin.parse,
        ),
    ]
    quantile: Annotated[
        Fraction | None,
        Setting(
            "quantile of `processing_time_s` to compare",
            example="0.95",
            above=0,
            below=1,
            default="none",
        ),
    ] = None
    better: Annotated[
        Literal["lower", "higher"],
        Setting("which values are better, of what checks measure", example='"higher"'),
    ] = "lower"
    up_to: Annotated[
        Fraction,
        Setting(
            "greatest value of what checks measure; the least is 0, and a value outside is no evidence",
            example="500",
            above=0,
        ),
    ] = Fraction(1)
    confidence: Annotated[
        Fraction,
        Setting(
            "confidence that a step needs to advance or to abort; it covers all evaluations of the step together",
            example="0.99",
            above=0,
            below=1,
        ),
    ] = Fraction("0.95")
    enforce: Annotated[Enforcement, ENFORCE] = Enforcement.BLOCK

    def describe(self, value: float) -> str:
        """A value of the metric for display."""
        if self.is_measured:
            return f"{value:.4g}"
        return f"{100 * value:.2f} %" if self.metric == ERRORS else f"{value:.3g} s"

    @property
    def is_measured(self) -> bool:
        """Whether checks measure it; the platform measures the others."""
        return self.metric not in (ERRORS, LATENCY)
