"""Times and billing intervals as text."""

from __future__ import annotations

from datetime import UTC, datetime

from stripe_lookalike.errors import Json


def day(moment: int) -> str:
    """Format epoch seconds: `3 December 2026, 14:03 UTC`."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def interval_text(price: Json) -> str:
    """Format a price's interval: `every month`, `every 3 months`, `once`."""
    recurring = price["recurring"]
    if not recurring:
        return "once"
    times = recurring["interval_count"]
    return f"every {recurring['interval']}" if times == 1 else f"every {times} {recurring['interval']}s"
