"""The meter: free stories in a window, which window a moment falls in, and which stories count in it.

A calendar window starts at local midnight of the site's time zone, also on days that daylight saving makes longer or
shorter. In a rolling window each story counts for its own length of time. All moments are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import floor
from typing import Literal, NamedTuple

from service.domain.catalogue import MeterPolicy
from service.domain.times import LAST_WINDOW, day_begins

_FIRST = int(datetime(2, 1, 1, tzinfo=UTC).timestamp())
"""Before this moment and after `LAST_WINDOW` the calendar has no window of its own in every timezone: theirs is used."""


@dataclass(frozen=True, slots=True)
class MeterWindow:
    """`start` inclusive, `end` exclusive."""

    start: int
    end: int


def window_at(policy: MeterPolicy, now: float) -> MeterWindow:
    """Return the calendar window of `now`; of a rolling policy the time for which a story read now counts."""
    if policy.rolling:
        return MeterWindow(int(now), int(now) + policy.length)
    moment = min(max(floor(now), _FIRST), LAST_WINDOW)
    day = _first_day(policy, datetime.fromtimestamp(moment, policy.zone).date())
    start, end = day_begins(policy.zone, day), day_begins(policy.zone, _next_first_day(policy, day))
    if moment < end:
        return MeterWindow(start, end)
    # The clock was set back over midnight: the day before occurs a second time, and belongs to the new window.
    day = _next_first_day(policy, day)
    return MeterWindow(end, day_begins(policy.zone, _next_first_day(policy, day)))


_window_from = lru_cache(maxsize=256)(window_at)
"""Many locked answers ask about the moment at which the same window turns."""


def _first_day(policy: MeterPolicy, day: date) -> date:
    if policy.window == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if policy.window == "month" else day


def _next_first_day(policy: MeterPolicy, first: date) -> date:
    if policy.window == "month":
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if policy.window == "week" else 1)


class Tally(NamedTuple):
    """The stories counted in a meter: story mark → when it was counted (0 in calendar windows)."""

    read: Mapping[bytes, int]
    joined: bytes | None = None
    """Of a visitor: the mark of the reader whose meter these stories were added to."""
    joined_until: int | None = None
    """In a rolling window, until when they join no other reader's."""


EMPTY_TALLY = Tally({})

VisitorRefusal = Literal["store_memory", "address_limit"]
"""Why a new visitor is not counted: the store is filling up, or their address has too many new visitors."""


class MeterLimit(NamedTuple):
    """How many stories a meter allows, by which plan (`None`: the meter's own limit), and when that can change."""

    stories: int
    plan: str | None = None
    changes_at: int | None = None


@dataclass(slots=True)
class MeterStanding:
    """The meter of a reader or visitor with respect to one story: the limit, the use, and whether it is counted.

    It is not frozen, as `MeterUse`, and nothing changes one.
    """

    name: str
    limit: int
    used: int
    seen: bool
    """Whether this story is among the counted ones."""
    resets_at: int | None
    counted: bool = False
    """Whether this request counted it."""
    plan: str | None = None
    """The plan whose limit is in force; `None` for the meter's own limit."""
    changes_at: int | None = field(default=None, compare=False)
    """When the limit can change, or the stories of a visitor who joined another reader begin to count."""

    @property
    def left(self) -> int:
        """Return the number of free stories left; 0 if a visitor's stories were added beyond the limit."""
        return max(0, self.limit - self.used)

    @property
    def opens(self) -> bool:
        """Return whether the meter opens the story: it is already counted, or a free story is left."""
        return self.seen or self.used < self.limit

    @property
    def would_count(self) -> bool:
        """Return whether a read of the story counts: it is new, and a free story is left."""
        return not self.seen and self.used < self.limit


def merge_counted(policy: MeterPolicy, own: Mapping[bytes, int], joining: Mapping[bytes, int]) -> Mapping[bytes, int]:
    """Return both as one set; in a rolling window a story that is in both counts from the later read."""
    if not policy.rolling:
        return {**joining, **own}
    return {**joining, **{story: max(at, joining.get(story, at)) for story, at in own.items()}}


@dataclass(slots=True)
class MeterUse:
    """The stories that count in a meter for whoever asks about `story`: a reader with their visitor, or a visitor alone.

    `window` is that of the moment of which this is the use; `at` returns the use at a later one. Stories and readers
    are marks. It is not frozen, because that makes it cost a microsecond more in each check.
    """

    policy: MeterPolicy
    window: MeterWindow
    story: bytes
    reader: Tally | None
    """`None`: no reader is signed in."""
    visitor: Tally | None
    marks: tuple[bytes, ...] = ()
    """Of the reader, and of those merged into them: stories that joined another reader's do not count."""

    def standing(self, limit: MeterLimit, *, counted: bool = False) -> MeterStanding | None:
        """Return the standing against a limit; `None` where there is nobody to meter."""
        if self.reader is None and (self.visitor is None or self.policy.visitors == 0):
            return None
        visitor = self.visitor
        if visitor is not None and visitor.read and visitor.joined not in self.marks:
            freed = visitor.joined_until
            if freed is not None and (limit.changes_at is None or freed < limit.changes_at):
                limit = limit._replace(changes_at=freed)
        read = self._read()
        resets, is_read = self._resets_at(read), self.story in read
        return MeterStanding(
            self.policy.name, limit.stories, len(read), is_read, resets, counted, limit.plan, limit.changes_at
        )

    def for_new_reader(self) -> MeterUse:
        """Return the use of a reader who is new and signs in in the same browser."""
        return MeterUse(self.policy, self.window, self.story, EMPTY_TALLY, self.visitor)

    def at(self, moment: int) -> MeterUse:
        """Return the use at a later moment, if nothing is read until then."""
        if not self.policy.rolling and moment < self.window.end:
            return self
        reader, visitor = self._later(self.reader, moment), self._later(self.visitor, moment)
        return MeterUse(self.policy, _window_from(self.policy, moment), self.story, reader, visitor, self.marks)

    def outline(self) -> Hashable | None:
        """Return what decides whether the meter opens the story, now and later; `None` in a rolling window.

        Of a visitor it counts whether their stories would join a new reader's meter.
        """
        if self.policy.rolling:
            return None
        read, visitor = self._read(), self.visitor
        joins = visitor is not None and visitor.joined is None
        nobody = self.reader is None, visitor is None
        return self.policy.name, self.window.end, nobody, joins, len(read), self.story in read

    def openings(self, limits: Collection[int]) -> Iterator[int]:
        """Yield the moments after which the meter can open the story under one of these limits, in no order."""
        if not self.policy.rolling:
            yield self.window.end
            return
        own = self._read()
        reads = [own]
        if self.reader is not None and self.visitor is not None and self.visitor.joined_until is not None:
            # The visitor's stories are another reader's until then. This one may be among them.
            yield self.visitor.joined_until
            reads.append(merge_counted(self.policy, own, self.visitor.read))
        for read in reads:
            ends = sorted([at + self.policy.length for at in read.values()])
            yield from (ends[-limit] for limit in limits if 0 < limit <= len(ends))

    def _resets_at(self, read: Mapping[bytes, int]) -> int | None:
        """Return the calendar window's end; in a rolling window when the oldest story stops counting, if there is one."""
        if not self.policy.rolling:
            return self.window.end
        return min(read.values()) + self.policy.length if read else None

    def _read(self) -> Mapping[bytes, int]:
        if self.reader is None:
            return self.visitor.read if self.visitor is not None else {}
        if self.visitor is None or not self.visitor.read or self.visitor.joined not in (None, *self.marks):
            return self.reader.read
        return merge_counted(self.policy, self.reader.read, self.visitor.read)

    def _later(self, tally: Tally | None, moment: int) -> Tally | None:
        if tally is None:
            return None
        if not self.policy.rolling:
            return EMPTY_TALLY
        read = {story: at for story, at in tally.read.items() if moment < at + self.policy.length}
        if tally.joined_until is not None and moment < tally.joined_until:
            return Tally(read, tally.joined, tally.joined_until)
        return Tally(read)
