"""Charts as SVG: stacked bars and lines; colors are variables of the style sheet (see `colors`).

Python's SVG libraries write inline styles and scripts, which the pages' Content-Security-Policy forbids (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 18, 22

Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One color of a chart: its name, a value for each date, and its color; `None` if nothing was counted."""

    name: str
    values: Sequence[float | None]
    color: str


def bars(
    dates: Sequence[date],
    series: Sequence[Series],
    label: str,
    write: Write,
    *,
    whole: bool = False,
    labeled: bool = False,
) -> Markup:
    """Draw a stacked bar for each date, with its value on top if `labeled`. `whole`: the values are whole numbers."""
    totals = [sum(one.values[at] or 0 for one in series) for at in range(len(dates))]
    top = scale_top(max(totals, default=0), whole=whole)
    step = (WIDTH - LEFT - RIGHT) / max(len(dates), 1)
    width = min(step * 0.76, 60.0)

    def parts() -> Iterator[str]:
        for at in range(len(dates)):
            x, base = _x(at, dates) - width / 2, 0.0
            for one in series:
                value = one.values[at] or 0
                if value:
                    y, height = _y(base + value, top), _y(base, top) - _y(base + value, top)
                    yield f'<rect fill="var(--{one.color})" {_box(x, y, width, height)}/>'
                    base += value
            if labeled and any(one.values[at] is not None for one in series):
                place = f'x="{_x(at, dates):.1f}" y="{_y(base, top) - 4:.1f}"'
                yield f'<text class="mid strong" {place}>{escape(write(base))}</text>'

    return _chart(dates, series, label, write, top, parts())


def lines(dates: Sequence[date], series: Sequence[Series], label: str, write: Write, *, whole: bool = False) -> Markup:
    """Draw a line for each series; a date without a value leaves a gap."""
    most = max((value for one in series for value in one.values if value is not None), default=0)
    top = scale_top(most, whole=whole)

    def parts() -> Iterator[str]:
        for one in series:
            for run in _runs(one.values):
                points = " ".join(f"{_x(at, dates):.1f},{_y(value, top):.1f}" for at, value in run)
                yield f'<polyline class="line" stroke="var(--{one.color})" points="{points}"/>'
                if len(run) == 1:
                    x, y = _x(run[0][0], dates), _y(run[0][1], top)
                    yield f'<circle fill="var(--{one.color})" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'

    return _chart(dates, series, label, write, top, parts())


def legend_key(color: str) -> Markup:
    """Draw a color, for a legend."""
    square = Markup('<rect fill="var(--{})" width="10" height="10" rx="2"/>').format(color)
    return Markup('<svg viewBox="0 0 10 10" aria-hidden="true" class="swatch">{}</svg>').format(square)


def scale_top(most: float, *, whole: bool = False) -> float:
    """Return the top of the scale: the next round number; for whole numbers one whose half is whole, for the tick there."""
    if most <= 0:
        return 2.0 if whole else 1.0
    power = 10.0 ** floor(log10(most))
    steps = (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 20))
    return next(top for top in steps if top >= most - power / 1e9 and not (whole and top % 2))


def _chart(
    dates: Sequence[date], series: Sequence[Series], label: str, write: Write, top: float, parts: Iterator[str]
) -> Markup:
    drawn = "".join([*_grid(top, write), *parts, *_dates(dates), *_tips(dates, series, write)])
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


def _dates(dates: Sequence[date]) -> Iterator[str]:
    count = len(dates)
    thirds = dict.fromkeys(round(third * (count - 1) / 3) for third in range(4))
    for at in range(count) if count < 8 else thirds:
        place = "mid" if count < 8 or 0 < at < count - 1 else "end" if at else ""
        yield f'<text class="{place}" x="{_x(at, dates):.1f}" y="{HEIGHT - 5}">{_day(dates[at])}</text>'


def _tips(dates: Sequence[date], series: Sequence[Series], write: Write) -> Iterator[str]:
    """Yield the tooltip of each date: an invisible column with a title."""
    step = (WIDTH - LEFT - RIGHT) / max(len(dates), 1)
    for at, day in enumerate(dates):
        lines = [
            f"{one.name}: {write(value)}" for one in series if (value := one.values[at]) is not None and value != 0
        ]
        text = escape("\n".join([f"{_day(day)} {day.year}", *(lines or ["none"])]))
        column = _box(LEFT + at * step, TOP, step, HEIGHT - TOP - BOTTOM)
        yield f'<rect fill="transparent" {column}><title>{text}</title></rect>'


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


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


def _x(at: int, dates: Sequence[date]) -> float:
    return LEFT + (at + 0.5) * (WIDTH - LEFT - RIGHT) / max(len(dates), 1)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
