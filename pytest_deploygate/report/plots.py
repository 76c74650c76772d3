"""Small plots as inline SVG, made of numbers alone: no text of a check gets into them."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT = 160, 36
_PAD = 4


class Point(NamedTuple):
    """One value of a series; ``mood`` is a class of the style sheet: ``good``, ``bad``, ``doubtful``, ``now``."""

    value: float
    mood: str = ""


def series_plot(points: Sequence[Point], *, bounds: Sequence[float] = (), label: str) -> Markup:
    """A line of values from old to new, with its bounds; what it shows in words is ``label``."""
    values = [*(point.value for point in points), *bounds]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = (WIDTH - 2 * _PAD) / max(len(points) - 1, 1)

    def x(number: int) -> float:
        return round(_PAD + number * step, 1)

    def y(value: float) -> float:
        return round(HEIGHT - _PAD - (value - low) / spread * (HEIGHT - 2 * _PAD), 1)

    lines = Markup("").join(
        Markup('<line class="bound" x1="0" x2="{}" y1="{}" y2="{}"/>').format(WIDTH, y(b), y(b))
        for b in bounds
    )
    path = " ".join(f"{x(i)},{y(point.value)}" for i, point in enumerate(points))
    dots = Markup("").join(
        Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
            p.mood, x(i), y(p.value), 3 if i == len(points) - 1 else 2
        )
        for i, p in enumerate(points)
    )
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '{}<polyline points="{}"/>{}</svg>'
    ).format(WIDTH, HEIGHT, WIDTH, HEIGHT, label, lines, path, dots)


def bar_plot(points: Sequence[Point], *, label: str, width: int = 640, height: int = 90) -> Markup:
    """A bar for each value, from old to new."""
    top = max((point.value for point in points), default=0) or 1.0
    step = min(width / max(len(points), 1), 24)
    bars = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            point.mood,
            round(i * step, 1),
            round(height - (tall := max(point.value / top * height, 1.5)), 1),
            round(max(step - 1, 0.5), 1),
            round(tall, 1),
        )
        for i, point in enumerate(points)
    )
    return Markup(
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, label, bars)
