"""The service's clock: the system's time, or, in `paywall demo` only, a time that was moved ahead.

The demo can move its clock, so that you see a month pass. The file `PAYWALL_DEMO_CLOCK` holds how many seconds it is ahead,
and all processes of the demo follow it. The settings refuse such a file where real money moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

DEMO_MARK = "demo"
"""The file that marks a folder as a demo's, which the next demo clears."""
DEMO_CLOCK = "demo-clock"
"""The file with the offset, in the same folder."""

Clock = Callable[[], float]
"""Returns epoch seconds."""


def clock_of(demo_clock: Path | None) -> Clock:
    """Return a function that returns epoch seconds, plus the offset that `demo_clock` holds at that moment."""
    if demo_clock is None:
        return time.time
    return lambda: time.time() + ahead(demo_clock)


def ahead(demo_clock: Path) -> int:
    """Return the seconds that a demo's clock is ahead; 0 without a readable file."""
    try:
        return int(demo_clock.read_text("ascii"))
    except (OSError, ValueError):
        return 0
