"""What of the candidate is compared with the baseline at each step, and how much worse it may be."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal

from pytest_deploygate.core import margin
from pytest_deploygate.core.margin import Margin
from pytest_deploygate.core.setting import Place, Setting

ERRORS: Final = "error_rate"
LATENCY: Final = "processing_time_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The candidate must not be worse than the baseline by ``worse_by`` (:mod:`pytest_deploygate.core.comparison`)."""

    name: Annotated[str, Place.NAME]
    metric: Annotated[
        Literal["error_rate", "processing_time_s"],
        Setting(
            "figure of the platform that is compared: server errors among all requests, or latency",
            example='"error_rate"',
        ),
    ]
    worse_by: Annotated[
        Margin,
        Setting(
            "how much worse than the baseline is too much: percentage points (of `error_rate` only) or a ratio",
            example='"x1.25"',
            is_a='a margin such as "1pp" or "x1.25"',
            pattern=margin.PATTERN,
            parse=Margin.parse,
        ),
    ]
    quantile: Annotated[
        Fraction | None,
        Setting(
            "which quantile of `processing_time_s` is compared",
            example="0.95",
            above=0,
            below=1,
            default="none",
        ),
    ] = None
    confidence: Annotated[
        Fraction,
        Setting(
            "how sure a step must be to go on or to go back; looking each minute does not use it up",
            example="0.99",
            above=0,
            below=1,
        ),
    ] = Fraction("0.95")

    def describe(self, value: float) -> str:
        """A value of the metric for people."""
        return f"{100 * value:.2f} %" if self.metric == ERRORS else f"{value:.3g} s"
