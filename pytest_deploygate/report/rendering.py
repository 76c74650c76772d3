"""Turns what a page shows into HTML: everything that is put in is cleaned, then escaped."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_deploygate import __version__
from pytest_deploygate.core.printable import printable
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.report.history_page import HistoryPage
from pytest_deploygate.report.plots import Point, bar_plot, series_plot
from pytest_deploygate.report.rollout_page import DOUBTFUL, MOODS, RolloutPage, ShownNumber

_COLOURS: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
"""What a terminal would obey; what is left of other control characters shows as a question mark."""


def render_rollout(page: RolloutPage, clean: Callable[[str], str] | None = None) -> str:
    """The page on one rollout."""
    return _environment(clean or Redactor()).get_template("rollout.html.jinja").render(page=page)


def render_history(page: HistoryPage, clean: Callable[[str], str] | None = None) -> str:
    """The page on the history of an environment."""
    return _environment(clean or Redactor()).get_template("history.html.jinja").render(page=page)


def _environment(clean: Callable[[str], str]) -> Environment:
    def finalize(value: object) -> object:
        if isinstance(value, Markup):
            return value
        return "" if value is None else printable(clean(_COLOURS.sub("", str(value))))

    templates = Environment(
        loader=PackageLoader("pytest_deploygate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "moment": _moment,
        "seconds": _seconds,
        "number": _number,
        "mood": lambda word: MOODS.get(word, DOUBTFUL),
        "is_web_address": _is_web_address,
    }
    templates.globals |= {
        "version": __version__,
        "number_plot": _number_plot,
        "duration_plot": _duration_plot,
    }
    return templates


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "not yet"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _is_web_address(text: str) -> bool:
    """Whether a link may lead there: never ``javascript:``."""
    return urlsplit(text).scheme in ("http", "https")


def _number_plot(number: ShownNumber) -> Markup:
    """The values of the promotions before and the one of this rollout, with the bounds of triggers."""
    points = [*(Point(value) for value in number.before), Point(number.value, number.mood or "now")]
    before = ", ".join(map(_number, number.before))
    label = f"{len(number.before)} promotions before: {before}; now {_number(number.value)}"
    return series_plot(points, bounds=number.limits, label=label)


def _duration_plot(page: HistoryPage) -> Markup:
    label = f"duration of {len(page.durations)} deployments, the newest on the right"
    return bar_plot(page.durations, label=label)
