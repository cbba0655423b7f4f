"""When grants end: all that still give something, sorted by their end, for "ends within 14 days".

They lie in a slot of their own, so they cannot be written in one step with a grant. Instead they are never late: before a
grant is written, the earlier of its two ends stands here, and the right one afterwards. What a crash leaves behind names a
grant that ends later or is gone: whoever looks asks the reader's record, which has the last word, and mends the entry.

    grants  sorted set: `<grant's id> <reader's hash>`, by its end      about  hash: the same → [plan, start, reader or null]

The reader's id is null where an import gave the grant: an import keeps hashes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import source_codec
from service.domain.sources import Grant

_IMPORTED = 40
_A_TIME = 500
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode

Commands = list[tuple[bytes, tuple[bytes | int | str, ...]]]


@dataclass(frozen=True, slots=True)
class GrantExpiry:
    """A grant that ends: of what plan (`None`: single features), whose (`None`: only an import knew), until when."""

    grant: str
    plan: str | None
    reader: str | None
    start: int
    until: int | None
    import_id: str | None = None


class GrantEndIndex:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._readers = store.keys
        self._key = store.keys.grant_ends
        self._about = store.keys.grant_details

    def announce(self, reader: str, grant: Grant) -> None:
        """This grant is about to be written: whichever of its ends is the earlier stands here meanwhile."""
        if grant.revoked_at is None:
            member = _member(grant, reader_hash(reader))
            self._link.pipeline(
                [
                    (self._about, (b"HSET", self._about, member, _what(grant, reader))),
                    (self._key, (b"ZADD", self._key, b"LT", _score(grant.until), member)),
                ]
            )

    def confirm(self, reader: str, grant: Grant) -> None:
        """This grant was written: its end is this, or it gives nothing more."""
        member = _member(grant, reader_hash(reader))
        if grant.revoked_at is not None:
            self._drop([member])
        else:
            self._link.call(self._key, b"ZADD", self._key, _score(grant.until), member)

    def add_imported(self, grants: Iterable[tuple[bytes, Grant]], import_id: str) -> None:
        """An import wrote these, by the readers' hashes. A few at a time: hundreds in one command hold up checks."""
        left = iter(grants)
        while some := list(islice(left, _IMPORTED)):
            self._imported(some, import_id)

    def _imported(self, grants: Sequence[tuple[bytes, Grant]], import_id: str) -> None:
        commands: Commands = []
        gone: list[bytes] = []
        scored: list[bytes | int] = []
        about: list[bytes] = []
        for tag, grant in grants:
            member = _member(grant, tag)
            if grant.revoked_at is not None:
                gone.append(member)
                continue
            scored += [_score(grant.until), member]
            if grant.import_id == import_id:
                about += [member, _what(grant, None)]
            else:  # What it extended or put back may be listed already, with the reader's id.
                commands.append((self._about, (b"HSETNX", self._about, member, _what(grant, None))))
        if about:
            commands.append((self._about, (b"HSET", self._about, *about)))
        if scored:
            self._link.pipeline([*commands, (self._key, (b"ZADD", self._key, *scored))])
        self._drop(gone)

    def count(self, after: float, upto: float) -> int:
        """How many end within this time; what a crash left behind may be among them, until somebody looks."""
        return int(self._link.call(self._key, b"ZCOUNT", self._key, b"(%d" % int(after), int(upto)))

    def list_ending(self, after: float, upto: float, limit: int) -> list[GrantExpiry]:
        """The grants that end within this time, the first to end first; each as the reader's record has it now."""
        limits = (b"(%d" % int(after), int(upto), b"BYSCORE", b"LIMIT", 0, limit)
        found = cast("list[bytes]", self._link.call(self._key, b"ZRANGE", self._key, *limits))
        return [e for e in self._checked(found) if e is not None and e.until is not None and after < e.until <= upto]

    def iterate_active(self, now: float) -> Iterator[list[GrantExpiry]]:
        """All grants that have begun and not ended, a page at a time, as they are listed here; one may come twice."""
        cursor = b"0"
        while True:
            cursor, row = self._link.call(self._key, b"ZSCAN", self._key, cursor, b"COUNT", _A_TIME)
            scores = {bytes(member): float(score) for member, score in zip(row[::2], row[1::2], strict=True)}
            members = [member for member, score in scores.items() if score > now]
            told = self._link.call(self._about, b"HMGET", self._about, *members) if members else []
            found = [_ending(m, about, scores[m]) for m, about in zip(members, told, strict=True) if about]
            yield [ending for ending in found if ending.start <= now]
            if cursor == b"0":
                return

    def prune(self, now: float) -> int:
        """Drops what has ended; grants that were given more time meanwhile stay. Gives how many went."""
        gone = 0
        while True:
            limits = (b"-inf", int(now) - 60, b"BYSCORE", b"LIMIT", 0, _A_TIME)
            found = cast("list[bytes]", self._link.call(self._key, b"ZRANGE", self._key, *limits))
            checked = zip(found, self._checked(found), strict=True)
            over = [m for m, e in checked if e is not None and e.until is not None and e.until <= now]
            self._drop(over)
            gone += len(over)
            if len(found) < _A_TIME:
                return gone

    def remove_reader(self, tag: bytes, grants: Sequence[Grant]) -> None:
        """These grants are a reader's who is erased, by her hash: nothing here names her any more."""
        self._drop([_member(grant, tag) for grant in grants])

    def _drop(self, members: Sequence[bytes]) -> None:
        if members:
            self._link.pipeline(
                [(self._key, (b"ZREM", self._key, *members)), (self._about, (b"HDEL", self._about, *members))]
            )

    def _checked(self, members: Sequence[bytes]) -> list[GrantExpiry | None]:
        """The entries as the readers' records have them; mended here where they were left behind."""
        if not members:
            return []
        told = self._link.call(self._about, b"HMGET", self._about, *members)
        checked: list[GrantExpiry | None] = []
        gone: list[bytes] = []
        mended: Commands = []
        for member, about, grant in zip(members, told, self._grants(members), strict=True):
            if grant is None or about is None or grant.revoked_at is not None:
                gone.append(member)
                checked.append(None)
                continue
            mended.append((self._key, (b"ZADD", self._key, b"XX", _score(grant.until), member)))
            _, _, reader = cast("tuple[Any, Any, str | None]", _decode(about))
            checked.append(GrantExpiry(grant.id, grant.plan, reader, grant.start, grant.until, grant.import_id))
        self._drop(gone)
        self._link.pipeline(mended)
        return checked

    def _grants(self, members: Sequence[bytes]) -> list[Grant | None]:
        commands = []
        fields = [b"g:" + member.partition(b" ")[0] for member in members]
        for member, field in zip(members, fields, strict=True):
            tag = member.partition(b" ")[2]
            keys = self._readers.reader(tag), self._readers.past(tag)
            commands += [(key, (b"HGET", key, field)) for key in keys]
        replies = self._link.read(commands)
        records = [hot or past for hot, past in zip(replies[::2], replies[1::2], strict=True)]
        sources = [
            source_codec.decode(f, record) if record else None for f, record in zip(fields, records, strict=True)
        ]
        return [source if isinstance(source, Grant) else None for source in sources]


def _member(grant: Grant, tag: bytes) -> bytes:
    return grant.id.encode() + b" " + tag


def _what(grant: Grant, reader: str | None) -> bytes:
    return _encode([grant.plan, grant.start, reader])


def _score(until: int | None) -> bytes:
    return b"+inf" if until is None else b"%d" % until


def _ending(member: bytes, about: bytes, score: float) -> GrantExpiry:
    plan, start, reader = _decode(about)
    grant = member.partition(b" ")[0].decode()
    return GrantExpiry(grant, plan, reader, start, None if score == float("inf") else int(score))
