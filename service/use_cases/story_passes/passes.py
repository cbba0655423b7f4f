"""Create story passes: those that admins make, and gifts of readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.story_passes.passes import UNMADE_AFTER, GiftAllowances, Passes, PassRequest
from service.domain.catalogue import DAY, Catalogue, MeterPolicy
from service.domain.errors import GiftsUsed, InvalidFields, NoGifts
from service.domain.meter import MeterWindow, window_at
from service.domain.story_passes import StoryPass, gifts_per_month

REASON = "a gift of a reader"
USUAL, LONGEST = 30 * DAY, 90 * DAY
"""Seconds for which a gift opens its story: by default, and at most."""


def create_story_pass(
    passes: Passes, data: Mapping[str, Any], actor: Actor, now: float, *, named: str | None = None
) -> StoryPass:
    """Create a pass from a request's loaded fields; `named` is the same for a repeat of it. Raises: `InvalidFields`."""
    until = int(data["until"])
    if until <= now:
        raise InvalidFields([("until", "must lie ahead")])
    wanted = PassRequest(data["story"], data["openings"], until, data["reason"])
    return passes.create(wanted, actor, now, pass_id=new_id("sp", now, named))


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many gifts a reader may make this month, how many they made, and when the next month begins."""

    limit: int
    used: int
    resets_at: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


class ReaderGifts:
    """Creates and lists gifts of readers. Raises: StoreUnavailable from every method."""

    def __init__(self, catalogue: Catalogue, readers: Readers, passes: Passes, gifts: GiftAllowances) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._passes = passes
        self._gifts = gifts
        self._months = MeterPolicy("gifts", 0, 0, "month", catalogue.zone)

    def create(self, data: Mapping[str, Any], actor: Actor, now: float) -> tuple[StoryPass, Allowance]:
        """Create a pass as a reader's gift, from a request's loaded fields.

        Raises: `InvalidFields`, `NoGifts`, `GiftsUsed`.
        """
        until = int(now) + USUAL if data.get("until") is None else int(data["until"])
        if not now < until <= now + LONGEST:
            raise InvalidFields([("until", f"must lie ahead, at most {LONGEST // DAY} days")])
        wanted = PassRequest(data["story"], data.get("openings") or 1, until, REASON)
        name = self._readers.resolve_merged(data["reader"])
        most, month = self._most(name, now), window_at(self._months, now)
        if most == 0:
            raise NoGifts
        pass_id = new_id("sp", now)
        if not self._claim(name, pass_id, month, most, now):
            raise GiftsUsed(most, month.end)
        try:
            made = self._passes.create(wanted, actor, now, pass_id=pass_id, giver=name)
        except BaseException:
            self._gifts.release(name, pass_id)
            raise
        return made, self._allowance(name, most, month)

    def list_gifts(self, reader: str, now: float) -> tuple[Allowance, Sequence[StoryPass]]:
        """Return how many gifts a reader may make this month, and the passes of this month, newest first."""
        name = self._readers.resolve_merged(reader)
        month = window_at(self._months, now)
        given = self._passes.find_all(self._gifts.list_given(name, month.start))
        return self._allowance(name, self._most(name, now), month), [found for found in given if found is not None]

    def _claim(self, reader: str, pass_id: str, month: MeterWindow, most: int, now: float) -> bool:
        if self._gifts.claim(reader, pass_id, month, most, now):
            return True
        # All are used, but a claim that a crash left without its pass is free again.
        old = self._gifts.list_given(reader, month.start, before=now - UNMADE_AFTER)
        unmade = [name for name, found in zip(old, self._passes.find_all(old), strict=True) if found is None]
        if not unmade:
            return False
        self._gifts.release(reader, *unmade)
        return self._gifts.claim(reader, pass_id, month, most, now)

    def _most(self, reader: str, now: float) -> int:
        return gifts_per_month(self._readers.load_holdings(reader, self._catalogue), self._catalogue, now)

    def _allowance(self, reader: str, most: int, month: MeterWindow) -> Allowance:
        return Allowance(most, len(self._gifts.list_given(reader, month.start)), month.end)
