"""How the pages say a moment and a rhythm."""

from __future__ import annotations

from datetime import UTC, datetime

from stripe_lookalike.errors import Json


def day(moment: int) -> str:
    """`3 December 2026, 14:03 UTC`."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def rhythm(price: Json) -> str:
    """`every month`, `every 3 months`, `once`."""
    recurring = price["recurring"]
    if not recurring:
        return "once"
    times = recurring["interval_count"]
    return f"every {recurring['interval']}" if times == 1 else f"every {times} {recurring['interval']}s"
