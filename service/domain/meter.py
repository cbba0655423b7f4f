"""Free stories in a window: which window a moment falls in, and what has been read in it.

A calendar window turns at local midnight of the site's zone, whatever daylight saving does to the length of that day.
In a rolling window each story counts for its own length of time. All moments are epoch seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from math import floor

from service.domain.catalogue import MeterPolicy

_FIRST = int(datetime(2, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(9999, 11, 1, tzinfo=UTC).timestamp())
"""Before and beyond these the calendar has no window of its own in every zone: theirs is told."""


@dataclass(frozen=True, slots=True)
class Window:
    """`start` inclusive, `end` exclusive."""

    start: int
    end: int


def window_at(policy: MeterPolicy, now: float) -> Window:
    """The calendar window that `now` falls in; of a rolling policy the time that a story read now counts for."""
    if policy.rolling:
        return Window(int(now), int(now) + policy.length)
    moment = min(max(floor(now), _FIRST), _LAST)
    day = _first_day(policy, datetime.fromtimestamp(moment, policy.zone).date())
    start, end = _day_begins(policy.zone, day), _day_begins(policy.zone, _next_first_day(policy, day))
    if moment < end:
        return Window(start, end)
    # The clock was put back over midnight: the day before is read a second time, in the new window.
    day = _next_first_day(policy, day)
    return Window(end, _day_begins(policy.zone, _next_first_day(policy, day)))


def _first_day(policy: MeterPolicy, day: date) -> date:
    if policy.window == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if policy.window == "month" else day


def _next_first_day(policy: MeterPolicy, first: date) -> date:
    if policy.window == "month":
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if policy.window == "week" else 1)


@lru_cache(maxsize=256)
def _day_begins(zone: tzinfo, day: date) -> int:
    """The first moment of a local day, or after it where the zone skipped the day or its midnight."""
    midnight = datetime.combine(day, time(), zone)
    before, after = int(midnight.timestamp()), int(midnight.replace(fold=1).timestamp())
    if before <= after:  # There is that midnight; of two the first.
        return before
    # The clock was put forward over it: by the two offsets it lies on both sides of that leap.
    leap = range(after, before)
    return after + bisect_left(leap, day, key=lambda moment: datetime.fromtimestamp(moment, zone).date())


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
        """Free stories left; never negative, though joined ones may have gone beyond the limit."""
        return max(0, self.limit - self.used)

    @property
    def opens(self) -> bool:
        """Whether the story may be read: it was counted already, or one is left for it."""
        return self.seen or self.used < self.limit


def united(policy: MeterPolicy, own: Mapping[bytes, int], joining: Mapping[bytes, int]) -> Mapping[bytes, int]:
    """Both as one set; in a rolling window a story that both have counts for as long as the later read does."""
    if not policy.rolling:
        return {**joining, **own}
    return {**joining, **{story: max(at, joining.get(story, at)) for story, at in own.items()}}


def standing(policy: MeterPolicy, limit: int, read: Mapping[bytes, int], story: bytes, window: Window) -> Standing:
    """How many free stories are used, whether this one is among them, and when the first comes free."""
    return Standing(policy.name, limit, len(read), story in read, resets_at(policy, read, window))


def resets_at(policy: MeterPolicy, read: Mapping[bytes, int], window: Window) -> int | None:
    """The calendar window's end; in a rolling window when the first story frees, `None` while none is counted."""
    if not policy.rolling:
        return window.end
    return min(read.values()) + policy.length if read else None


def still_counting(policy: MeterPolicy, read: Mapping[bytes, int], now: float) -> dict[bytes, int]:
    """Of a rolling window, the stories whose own time is not over."""
    return {story: at for story, at in read.items() if now < at + policy.length}
