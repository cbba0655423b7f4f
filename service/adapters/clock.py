"""What time it is: the wall's time, or, in `paywall demo` alone, a time that has been moved ahead.

The demo has a time machine, so that a newcomer can see a month go by. It keeps in a file, `PAYWALL_DEMO_CLOCK`, how many
seconds it is ahead; all parts of that one demo follow it. Settings refuse such a file where real money moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

DEMO_MARK = "demo"
"""The file by which a folder is known as the demo's, which clears it."""
DEMO_CLOCK = "demo-clock"
"""The time machine's file, in the same folder."""


def clock_of(demo_clock: Path | None) -> Callable[[], float]:
    """Gives epoch seconds, ahead by what `demo_clock` says at that moment."""
    if demo_clock is None:
        return time.time
    return lambda: time.time() + ahead(demo_clock)


def ahead(demo_clock: Path) -> int:
    """Seconds that a demo's clock is ahead; 0 while its file says nothing."""
    try:
        return int(demo_clock.read_text("ascii"))
    except (OSError, ValueError):
        return 0
