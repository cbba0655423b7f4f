"""Charts as SVG: stacked bars, lines, and shares with confidence intervals; classes of the style sheet set the colors.

Python's SVG libraries write inline styles and scripts, which the pages' Content-Security-Policy forbids (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 8, 22
COLORS = 8

Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One color of a chart: its name, and a value for each day; `None` if nothing was counted."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with the bounds of its confidence interval."""

    low: float
    value: float
    high: float


def bars(days: Sequence[str], series: Sequence[Series], label: str, write: Write) -> Markup:
    """Draw a stacked bar for each day."""
    totals = [sum(one.values[at] or 0 for one in series) for at in range(len(days))]
    top = scale_top(max(totals, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(len(days), 1)

    def parts() -> Iterator[str]:
        for at in range(len(days)):
            x, base = LEFT + at * step + step * 0.12, 0.0
            for number, one in enumerate(series):
                value = one.values[at] or 0
                if value:
                    y, height = _y(base + value, top), _y(base, top) - _y(base + value, top)
                    yield f'<rect class="f{number % COLORS + 1}" {_box(x, y, step * 0.76, height)}/>'
                    base += value

    return _chart(days, series, label, write, top, parts())


def lines(days: Sequence[str], series: Sequence[Series], label: str, write: Write) -> Markup:
    """Draw a line for each series; a day without a value leaves a gap."""
    top = scale_top(max((value for one in series for value in one.values if value is not None), default=0))

    def parts() -> Iterator[str]:
        for number, one in enumerate(series):
            color = number % COLORS + 1
            for run in _runs(one.values):
                points = " ".join(f"{_x(at, days):.1f},{_y(value, top):.1f}" for at, value in run)
                yield f'<polyline class="line s{color}" points="{points}"/>'
                if len(run) == 1:
                    yield f'<circle class="f{color}" cx="{_x(run[0][0], days):.1f}" cy="{_y(run[0][1], top):.1f}" r="3"/>'

    return _chart(days, series, label, write, top, parts())


def intervals(
    days: Sequence[str], found: Sequence[Interval | None], label: str, write: Write, whole: Interval | None
) -> Markup:
    """Draw a dot with a whisker for each day, and the interval of the whole period as a band behind them."""
    top = scale_top(max((one.high for one in (*found, whole) if one is not None), default=0))

    def parts() -> Iterator[str]:
        if whole is not None:
            height = _y(whole.low, top) - _y(whole.high, top)
            yield f'<rect class="band" {_box(LEFT, _y(whole.high, top), WIDTH - LEFT - RIGHT, height)}/>'
        for at, one in enumerate(found):
            if one is not None:
                x = f"{_x(at, days):.1f}"
                yield f'<line class="whisker" x1="{x}" x2="{x}" y1="{_y(one.low, top):.1f}" y2="{_y(one.high, top):.1f}"/>'
                yield f'<circle class="f1" cx="{x}" cy="{_y(one.value, top):.1f}" r="3"/>'

    values = Series("share", [one.value if one is not None else None for one in found])
    return _chart(days, [values], label, write, top, parts())


def legend_key(number: int) -> Markup:
    """Draw the color of the series with this number, for a legend."""
    return Markup(
        '<svg viewBox="0 0 10 10" aria-hidden="true" class="swatch"><rect class="f{}" width="10" height="10" rx="2"/></svg>'
    ).format(number % COLORS + 1)


def scale_top(most: float) -> float:
    """Return the top of the scale: the next round number."""
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return float(next(step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= most - power / 1e9) * power)


def _chart(
    days: Sequence[str], series: Sequence[Series], label: str, write: Write, top: float, parts: Iterator[str]
) -> Markup:
    drawn = "".join([*_grid(top, write), *parts, *_dates(days), *_tips(days, series, write)])
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH,
        HEIGHT,
        label,
        Markup(drawn),  # noqa: S704 - made of numbers and of escaped names
    )


def _grid(top: float, write: Write) -> Iterator[str]:
    for at in range(5):
        value = top * at / 4
        y = _y(value, top)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if at % 2 == 0:
            yield f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{escape(write(value))}</text>'


def _dates(days: Sequence[str]) -> Iterator[str]:
    count = len(days)
    for at in dict.fromkeys([0, ceil(count / 3), ceil(2 * count / 3), count - 1] if count else []):
        place = "end" if at == count - 1 else "mid" if at else ""
        yield f'<text class="{place}" x="{_x(at, days):.1f}" y="{HEIGHT - 5}">{escape(days[at][5:])}</text>'


def _tips(days: Sequence[str], series: Sequence[Series], write: Write) -> Iterator[str]:
    """Yield the tooltip of each day: an invisible column with a title."""
    step = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    for at, day in enumerate(days):
        lines = [
            f"{one.name}: {write(value)}" for one in series if (value := one.values[at]) is not None and value != 0
        ]
        text = escape("\n".join([day, *(lines or ["none"])]))
        column = _box(LEFT + at * step, TOP, step, HEIGHT - TOP - BOTTOM)
        yield f'<rect fill="transparent" {column}><title>{text}</title></rect>'


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    run: list[tuple[int, float]] = []
    for at, value in enumerate(values):
        if value is not None:
            run.append((at, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _x(at: int, days: Sequence[str]) -> float:
    return LEFT + (at + 0.5) * (WIDTH - LEFT - RIGHT) / max(len(days), 1)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
