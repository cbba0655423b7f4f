"""Free stories in a window: which window a moment falls in, and what has been read in it.

A calendar window turns at local midnight of the site's zone, whatever daylight saving does to the length of that day.
In a rolling window each story counts for its own length of time. All moments are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.paywall.catalogue import MeterPolicy


@dataclass(frozen=True, slots=True)
class Window:
    """`start` inclusive, `end` exclusive. A rolling window's start is `now - length`, its end `now`'s successor."""

    start: int
    end: int


def window_at(policy: MeterPolicy, now: float) -> Window:
    """The calendar window that `now` falls in; for a rolling policy the time a story read now counts for."""
    if policy.rolling:
        return Window(int(now) - policy.length, int(now) + policy.length)
    midnight = datetime.fromtimestamp(now, policy.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if policy.window == "week":
        first = midnight - timedelta(days=midnight.weekday())
        following = first + timedelta(days=7)
    elif policy.window == "month":
        first = midnight.replace(day=1)
        following = (first + timedelta(days=32)).replace(day=1)
    else:
        first, following = midnight, midnight + timedelta(days=1)
    # Wall-clock arithmetic, then the zone's own rule for what instant that midnight is.
    return Window(int(first.timestamp()), int(following.timestamp()))


@dataclass(frozen=True, slots=True)
class Tally:
    """What somebody has read, as the store tells it: story mark → when it was counted (0 in calendar windows)."""

    read: Mapping[bytes, int]
    joined: bytes | None = None
    """Of a visitor: the mark of the reader that its stories have joined."""


EMPTY = Tally({})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a reader or visitor stands with a meter, for one story."""

    name: str
    limit: int
    used: int
    seen: bool
    """Whether this story is among the counted ones."""
    resets_at: int | None
    counted: bool = False
    """Whether this very request counted it."""

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def opens(self) -> bool:
        return self.seen or self.used < self.limit


def standing(policy: MeterPolicy, limit: int, read: Mapping[bytes, int], story: bytes, now: float) -> Standing:
    """How many free stories are used, whether this one is among them, and when the first comes free."""
    return Standing(policy.name, limit, len(read), story in read, resets_at(policy, read, now))


def resets_at(policy: MeterPolicy, read: Mapping[bytes, int], now: float) -> int | None:
    """The calendar window's end; in a rolling window when the first story frees, `None` while none is counted."""
    if not policy.rolling:
        return window_at(policy, now).end
    return min(read.values()) + policy.length if read else None


def still_counting(policy: MeterPolicy, read: Mapping[bytes, int], now: float) -> dict[bytes, int]:
    """Of a rolling window, the stories whose own time is not over."""
    return {story: at for story, at in read.items() if now < at + policy.length}
