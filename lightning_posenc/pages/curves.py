"""Curves as SVG within a page: sharp at any size, light or dark as the page is, without a library
that draws for a second.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from lightning_posenc.pages.colours import colour

WIDTH, HEIGHT = 340, 190  # of the picture, in units that become pixels on a narrow page
LEFT, RIGHT, ABOVE, BELOW = 46, 10, 10, 34
DASHES = ("", "5 3", "2 2", "7 2 2 2")


class Points(NamedTuple):
    """A curve: numbers at places, in order; what is no finite number is left out."""

    x: Sequence[float]
    y: Sequence[float]


def chart(title: str, x: str, curves: Mapping[str, Points], log: bool = False) -> str:
    """Draw curves in one frame, as an HTML figure with its legend below.

    Args:
        title: Above it.
        x: What is counted to the right.
        curves: By name.
        log: Whether numbers are shown by their logarithm, if all are positive.

    Returns:
        HTML, escaped; "" if there is nothing to draw.

    Example:
        >>> "<svg" in chart("loss", "step", {"train": Points([0, 1], [2.0, 1.0])})
        True
    """
    shown = {name: _finite(points) for name, points in curves.items()}
    shown = {name: points for name, points in shown.items() if points.x}
    if not shown:
        return ""
    xs = [v for points in shown.values() for v in points.x]
    ys = [v for points in shown.values() for v in points.y]
    log = log and min(ys) > 0 and max(ys) > 5 * min(ys)
    across, up = ticks(min(xs), max(xs)), (_decades if log else ticks)(min(ys), max(ys))
    low, high = min(*ys, *up), max(*ys, *up)
    if low == high:  # a curve that stays where it is
        low, high = low - 1, high + 1
    left, right = min(xs), max(xs)

    def at_x(value: float) -> float:
        share = (value - left) / (right - left) if right > left else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(value: float) -> float:
        a, b, c = (math.log(v) for v in (value, low, high)) if log else (value, low, high)
        return HEIGHT - BELOW - (a - b) / (c - b) * (HEIGHT - ABOVE - BELOW)

    base = HEIGHT - BELOW
    marks = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(v):.1f}" y2="{at_y(v):.1f}"'
        ' class="grid"/>'
        f'<text x="{LEFT - 5}" y="{at_y(v) + 3.5:.1f}" text-anchor="end">{number(v)}</text>'
        for v in up
    ] + [
        f'<text x="{at_x(v):.1f}" y="{base + 13}" text-anchor="middle">{number(v)}</text>'
        for v in across
        if left <= v <= right
    ]
    lines, legend = [], []
    for i, (name, points) in enumerate(shown.items()):
        dash = DASHES[i // 10 % len(DASHES)]
        path = " ".join(f"{at_x(a):.1f},{at_y(b):.1f}" for a, b in zip(*points, strict=True))
        style = f'stroke="{colour(i)}" stroke-dasharray="{dash}"'
        if len(points.x) <= 30:
            lines += [
                f'<circle cx="{at_x(a):.1f}" cy="{at_y(b):.1f}" r="2.2" fill="{colour(i)}"/>'
                for a, b in zip(*points, strict=True)
            ]
        lines.append(f'<polyline points="{path}" fill="none" stroke-width="1.6" {style}/>')
        last = number(points.y[-1])
        legend.append(
            f'<span><i style="background:{colour(i)}"></i>{escape(name)}: <b>{last}</b></span>'
        )
    said = "; ".join(
        f"{name} from {number(p.y[0])} to {number(p.y[-1])}" for name, p in shown.items()
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {said}")}">'
        + "".join(marks)
        + f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" class="axis"/>'
        + "".join(lines)
        + f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">'
        f'{escape(x)}</text></svg><div class="legend">{"".join(legend)}</div></figure>'
    )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Give round numbers from below the lowest to above the highest, about as many as wanted.

    Args:
        low: The lowest number.
        high: The highest.
        most: About so many steps.
    """
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((k * power for k in (1, 2, 5, 10) if k * power >= rough * 0.999), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / 6))
    return [10.0**power for power in range(first, last + 1, every)]


def number(value: float) -> str:
    """A number in few signs."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, power = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _finite(points: Points) -> Points:
    pairs = [(x, y) for x, y in zip(*points, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return Points([x for x, _ in pairs], [y for _, y in pairs])
