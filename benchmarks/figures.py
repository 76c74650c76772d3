"""Figures, their targets, and the page that keeps them."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
NOTE = """\
Written by `python -m benchmarks` (or `tox -e bench`); do not edit. Instructions are counted with callgrind and repeat
to a few thousandths; so do ratios that were measured side by side. Seconds are wall-clock and depend on what else the
machine does: of several repetitions the median is given, where it says so the best.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. ``at_most`` or ``at_least`` is its target; neither: for information."""

    topic: str
    what: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"<= {self.at_most:g} {self.unit}".strip()
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}".strip()
        return ""

    @property
    def met(self) -> str:
        """``yes``, ``no``, or nothing where there is no target."""
        if self.at_most is not None:
            return "yes" if self.value <= self.at_most else "**no**"
        if self.at_least is not None:
            return "yes" if self.value >= self.at_least else "**no**"
        return ""

    @property
    def shown(self) -> str:
        """The value with four digits and its unit."""
        number = f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:.4g}"
        return f"{number} {self.unit}".strip()


def spread(values: Sequence[float], unit: str, scale: float = 1) -> str:
    """Best, median and worst of the repetitions."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return (
        f"{len(values)} times: {low * scale:.4g} / {middle * scale:.4g} / {high * scale:.4g} {unit}"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table."""
    rows = [("topic", "what", "measured", "target", "met", "note")]
    rows.append(("---",) * 6)
    rows += [(f.topic, f.what, f.shown, f.target, f.met, f.note) for f in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def machine() -> str:
    """What the figures were measured on, as far as it matters."""
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}; "
        f"load when it ended (1, 5, 15 min): {busy}"
    )


def page(figures: Sequence[Figure], before: str = "") -> str:
    """The whole page: rows of other topics as they stand in ``before``, then those of ``figures``."""
    measured = {"topic", "---", *(figure.topic for figure in figures)}
    rows = [line for line in before.splitlines() if line.startswith("| ")]
    kept = [row for row in rows if row[2:].partition(" | ")[0] not in measured]
    head, rule, *new = table(figures).splitlines()
    text = "\n".join([head, rule, *kept, *new])
    return f"# What it costs\n\n{NOTE}\nMachine of the last run: {machine()}.\n\n{text}\n"
