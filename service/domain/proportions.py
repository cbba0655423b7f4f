"""A proportion with its Wilson score interval, which is reliable also for few cases and for shares near 0 or 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: 95 % lie between it and its negative."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `cases`: the share and its 95 % confidence interval; `None` where there is no case."""

    hits: int
    cases: int
    share: float | None
    low: float | None
    high: float | None


def wilson(hits: int, cases: int) -> Share:
    """Return the share with its interval (Wilson 1927). `hits` above `cases` count as `cases`."""
    hits = max(0, min(hits, cases))
    if cases <= 0:
        return Share(0, 0, None, None, None)
    share, square = hits / cases, Z95 * Z95
    middle = share + square / (2 * cases)
    half = Z95 * sqrt(share * (1 - share) / cases + square / (4 * cases * cases))
    scale = 1 + square / cases
    # At 0 and at 1 the bounds are exactly these; rounding would leave a hair.
    low = 0.0 if hits == 0 else (middle - half) / scale
    high = 1.0 if hits == cases else (middle + half) / scale
    return Share(hits, cases, share, low, high)
