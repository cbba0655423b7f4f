"""Answers that differed from what the incumbent paywall showed: the last 1,000, for seven days, in one sorted set.

A member begins with its moment (13 digits, ms), a number and a random word, so that members sort by time and a repeat adds
none. It holds no reader: its decision ID is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from secrets import token_hex

from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords, decode_list, encode_json

KEPT = 7 * 86_400
"""Seconds for which a sample is kept; its decision ID can be explained as long."""
MOST = 1_000

_numbers = count()
"""Of the samples of this process, which keep their order also within a millisecond."""


@dataclass(frozen=True, slots=True)
class ComparisonSample:
    """An answer, when it was given (epoch seconds), and what the incumbent showed."""

    at: float
    decision_id: str | None
    ours: str
    theirs: str
    reason: str
    story: str


class ComparisonSamples(StoreRecords):
    """Stores samples. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._key = store.keys.comparison_samples

    def add(self, members: Sequence[bytes], now: float) -> None:
        """Add samples as `pack_sample` returns them; the oldest beyond `MOST` go."""
        pairs = [part for member in members for part in (0, member)]
        self._link.pipeline(
            [
                (self._key, (b"ZADD", self._key, *pairs)),
                (self._key, (b"ZREMRANGEBYRANK", self._key, 0, -1 - MOST)),
                (self._key, (b"ZREMRANGEBYLEX", self._key, b"-", _oldest(now))),
                (self._key, (b"EXPIRE", self._key, KEPT)),
            ]
        )

    def load_page(self, limit: int, after: str | None, now: float) -> tuple[list[ComparisonSample], str | None]:
        """Return samples, newest first, from behind `after`, and the `after` of the next page; `None` for the last page."""
        start = b"+" if after is None else b"(" + after.encode()
        limits = (_oldest(now), b"BYLEX", b"REV", b"LIMIT", b"0", b"%d" % (limit + 1))
        found = self._read_one(b"ZRANGE", self._key, start, *limits)
        place = b" ".join(found[limit - 1].split(b" ", 2)[:2]).decode() if len(found) > limit else None
        return [_unpack(member) for member in found[:limit]], place


def pack_sample(sample: ComparisonSample) -> bytes:
    """Return a sample as a member of the sorted set, unlike any other."""
    named = [sample.decision_id, sample.ours, sample.theirs, sample.reason, sample.story]
    word = b"%06x%b" % (next(_numbers) & 0xFFFFFF, token_hex(2).encode())
    return b"%013d %b %b" % (int(sample.at * 1000), word, encode_json(named))


def _unpack(member: bytes) -> ComparisonSample:
    at, _, named = member.split(b" ", 2)
    return ComparisonSample(int(at) / 1000, *decode_list(named)[:5])


def _oldest(now: float) -> bytes:
    return b"(%013d" % int((now - KEPT) * 1000)
