"""What a reader's sources amount to at a moment, as the list of readers shows and filters it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.sources import LIVE, Holding, Standing, end_order

_BEST_FIRST = (Standing.GOOD, Standing.GRACE, Standing.NONE, Standing.ENDED)


@dataclass(frozen=True, slots=True)
class ReaderState:
    """`plans`, `sources` (types) and `until` are those of the live sources; where none is live, those of all.

    `next_change` is the next moment at which it changes by itself, `last_change` the last such moment; epoch seconds.
    """

    access: bool
    plans: tuple[str, ...]
    sources: tuple[str, ...]
    standing: Standing
    until: int | None
    next_change: int | None
    last_change: int | None


def summarize_holdings(holdings: Sequence[Holding], now: float) -> ReaderState:
    """Return the state of a reader who has at least one holding."""
    standings = [holding.standing_at(now) for holding in holdings]
    live = [holding for holding, standing in zip(holdings, standings, strict=True) if standing in LIVE]
    shown = live or holdings
    turns = [turn for holding in holdings for turn in _turns(holding)]
    return ReaderState(
        access=any(holding.features and holding.is_active_at(now) for holding in holdings),
        plans=tuple(sorted({holding.plan for holding in shown if holding.plan})),
        sources=tuple(sorted({holding.type for holding in shown})),
        standing=min(standings, key=_BEST_FIRST.index),
        until=max((holding.until for holding in shown), key=end_order),
        next_change=min((turn for turn in turns if turn > now), default=None),
        last_change=max((turn for turn in turns if turn <= now), default=None),
    )


def _turns(holding: Holding) -> list[int]:
    """Return the moments at which a holding starts and ends by itself."""
    if holding.base not in LIVE:
        return []
    start = holding.start if holding.waits else None
    return [turn for turn in (start, holding.until) if turn is not None]
