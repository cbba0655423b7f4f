"""What a reader gave away: the story passes of this month and the last, in her own slot, counted in one step."""

from __future__ import annotations

from typing import cast

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.story_passes.pass_keys import PassKeys
from service.domain.meter import Window

CLAIM = load("gift_claim")

UNMADE_AFTER = 60
"""Seconds after which a claim without its pass was left by a crash, and is free again."""
_KEPT = 62 * 86_400


class Gifts:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = PassKeys(store.keys.prefix)

    def claim(self, reader: str, pass_id: str, month: Window, most: int, now: float) -> bool:
        """Takes one of the month's gifts for a pass that is about to be made; `False`: all are used."""
        at = int(now * 1000)
        arguments: list[bytes | int | str] = [pass_id, at, month.start * 1000, most, at - _KEPT * 1000]
        return bool(self._link.run(CLAIM, [self._key(reader)], [*arguments, int(now) + _KEPT]))

    def give_back(self, reader: str, *pass_ids: str) -> None:
        """These were claimed and never made."""
        if pass_ids:
            self._link.call(self._key(reader), b"ZREM", self._key(reader), *pass_ids)

    def given(self, reader: str, since: int, before: float | None = None) -> list[str]:
        """The passes that a reader gave since a moment (epoch seconds), newest first."""
        key = self._key(reader)
        upto = b"+inf" if before is None else b"%d" % int(before * 1000)
        found = self._link.call(key, b"ZRANGE", key, upto, since * 1000, b"BYSCORE", b"REV")
        return [pass_id.decode() for pass_id in cast("list[bytes]", found)]

    def carry(self, gone: str, stays: str) -> None:
        """A reader was merged into another: what the one gave counts for the other. May be repeated."""
        (row,) = self._link.read([(self._key(gone), (b"ZRANGE", self._key(gone), b"0", b"-1", b"WITHSCORES"))])
        if row:
            pairs = [part for at in range(0, len(row), 2) for part in (row[at + 1], row[at])]
            key = self._key(stays)
            self._link.pipeline([(key, (b"ZADD", key, *pairs)), (key, (b"EXPIRE", key, _KEPT))])

    def forget(self, reader: str) -> bool:
        """A reader is erased: nobody knows any more what she gave; the passes themselves name nobody. Gives whether any."""
        return bool(self._link.call(self._key(reader), b"DEL", self._key(reader)))

    def _key(self, reader: str) -> bytes:
        return self._keys.given(reader_hash(reader))
