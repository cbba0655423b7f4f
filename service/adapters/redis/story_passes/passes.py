"""Story passes in the store, and the gift allowances of readers.

A pass is a hash in a slot of its own, so that an opening is counted in one step however many come at once:

    doc       [schema, story, reason, actor, created (s, with ms), 1]   openings, until (s)   what it admits
              (without the 1: `StoryPass.is_former`)
    used      openings used                                             revoked (s)           when it was revoked
    r<hash>   a reader who was admitted                                 v<hash>   a visitor, and the reader it joined

It is kept for 90 days after its end. The list of passes can name expired ones; `prune_list` removes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import pass_tag, reader_hash, visitor_hash
from service.adapters.redis.client.link import Command, Link
from service.adapters.redis.client.scripts import Script, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.errors import NewerSchema, UnknownPass
from service.domain.meter import MeterWindow
from service.domain.story_passes import StoryPass
from service.domain.times import write_time

CREATE, REVOKE, OPEN = load("create_pass"), load("revoke_pass"), load("open_pass")

SCHEMA = 1
KEPT = 90 * 86_400
"""Seconds for which an expired pass is still listed."""
_TIDY_BY = 500


@dataclass(frozen=True, slots=True)
class PassRequest:
    """A request for a pass: one story, a number of openings, an end (epoch seconds), and a reason."""

    story: str
    openings: int
    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class Admission:
    """A pass as an access check finds it: whether it admits this reader or visitor, and whether that has to be written."""

    story: str
    until: int
    lets_in: bool
    writes: bool


class Passes(StoreRecords):
    """Stores passes. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, audit: AuditWriter) -> None:
        super().__init__(store)
        self._audit = audit

    def create(
        self, wanted: PassRequest, actor: Actor, now: float, *, pass_id: str | None = None, giver: str | None = None
    ) -> StoryPass:
        """Create a pass; if one with this ID exists, return that one.

        `giver` is the reader who gives it away; only the audit log records them.
        """
        if pass_id is not None:
            with suppress(UnknownPass):
                return self.find(pass_id)
        story, openings, until, reason = wanted.story, wanted.openings, wanted.until, wanted.reason
        made = StoryPass(
            pass_id or new_id("sp", now), story, openings, until, reason, actor.name, int(now * 1000) / 1000
        )
        after = {"story": story, "openings": openings, "until": write_time(until), "status": "active"}
        written = audit_entry(actor, "pass.create", now=now, reader=giver, target=made.id, after=after, reason=reason)
        # The list comes first: `prune_list` removes an entry without a pass, but nothing finds a pass without an entry.
        self._call(b"ZADD", self.keys.listed_passes, 0, f"{int(made.created_at * 1000):013d} {made.id}")
        doc = encode_json([SCHEMA, story, reason, made.actor, made.created_at, 1])
        self._write(made.id, CREATE, [doc, openings, until, until + KEPT], written)
        return made

    def revoke(self, pass_id: str, reason: str | None, actor: Actor, now: float) -> StoryPass:
        """Revoke a pass at once; a revoked pass stays as it is. Raises: UnknownPass."""
        found = self.find(pass_id)
        if found.revoked_at is None:
            before, after = {"status": found.status_at(now)}, {"status": "revoked"}
            written = audit_entry(
                actor, "pass.revoke", now=now, target=pass_id, before=before, after=after, reason=reason
            )
            self._write(pass_id, REVOKE, [int(now)], written)
        return self.find(pass_id)

    def _write(self, pass_id: str, script: Script, arguments: Sequence[bytes | int], written: dict[str, Any]) -> None:
        tag = pass_tag(pass_id)
        keys = [self.keys.story_pass(pass_id), self.keys.outbox(tag)]
        with self._audit.recording(tag, written) as entry:
            self._link.run(script, keys, [*arguments, entry])

    def find(self, pass_id: str) -> StoryPass:
        """Return a pass. Raises: UnknownPass."""
        (found,) = self.find_all([pass_id])
        if found is None:
            raise UnknownPass
        return found

    def find_all(self, pass_ids: Sequence[str]) -> list[StoryPass | None]:
        """Return several passes in one round trip; `None` for one that is missing."""
        keys = [self.keys.story_pass(pass_id) for pass_id in pass_ids]
        fields = (b"doc", b"openings", b"until", b"used", b"revoked")
        replies = self._read_each(b"HMGET", keys, *fields)
        return [_pass_of(pass_id, reply) for pass_id, reply in zip(pass_ids, replies, strict=True)]

    def load_page(self, limit: int, after: str | None) -> tuple[list[StoryPass], str | None]:
        """Return passes, newest first, from behind `after`, and the `after` of the next page; `None` for the last page."""
        listed, found, last = self.keys.listed_passes, list[StoryPass](), after
        while True:
            start = b"+" if last is None else b"(" + last.encode()
            reply = self._call(b"ZRANGE", listed, start, b"-", b"BYLEX", b"REV", b"LIMIT", 0, limit + 1)
            places = [place.decode() for place in reply]
            for place, known in zip(places, self._known(places), strict=True):
                if known is not None and len(found) == limit:
                    return found, last
                last = place
                if known is not None:
                    found.append(known)
            if len(places) <= limit:
                return found, None

    def _known(self, places: Sequence[str]) -> list[StoryPass | None]:
        return self.find_all([place.partition(" ")[2] for place in places])

    def has_listed_before(self, moment: int) -> bool:
        """Return whether a pass is listed that was created before a moment (epoch seconds)."""
        before = b"(%013d" % (moment * 1000)
        return bool(self._call(b"ZRANGE", self.keys.listed_passes, b"-", before, b"BYLEX", b"LIMIT", 0, 1))

    def prune_list(self, now: float) -> int:
        """Remove expired passes from the list, and return their number. The worker calls it hourly."""
        gone = 0
        made_before = b"%013d" % int((now - 60) * 1000)  # A pass that was just listed is about to be written.
        for places in _iterate_places(self._link, self.keys.listed_passes, b"(" + made_before):
            known = self._known([place.decode() for place in places])
            old = [place for place, found in zip(places, known, strict=True) if found is None]
            if old:
                gone += cast(int, self._call(b"ZREM", self.keys.listed_passes, *old))
        return gone

    def read_command(self, pass_id: str, reader: str | None, visitor: str | None) -> Command:
        """Return the command by which an access check reads a pass; `admission_in` takes its reply."""
        key = self.keys.story_pass(pass_id)
        own = (_reader_field(reader) or b"-", _visitor_field(visitor) or b"-")
        return key, (b"HMGET", key, b"doc", b"openings", b"until", b"used", b"revoked", *own)

    def open(self, pass_id: str, reader: str | None, visitor: str | None, now: float) -> bool:
        """Admit the reader or visitor and use an opening if necessary, in one step.

        Returns `False` if the pass was used up or revoked meanwhile.
        """
        arguments = (_reader_field(reader), _visitor_field(visitor), int(now))
        return bool(self._link.run(OPEN, [self.keys.story_pass(pass_id)], arguments))


def carry_openings(store: Store, gone: str, stays: str) -> None:
    """Admit the remaining reader by every pass that admitted the merged one, so that they use no second opening.

    No index lists those passes, so all of them are read in chunks. The call can be repeated.
    """
    own, had, has = store.keys, _reader_field(gone), _reader_field(stays)
    for places in _iterate_places(store.link, own.listed_passes, b"+"):
        found = [own.story_pass(place.partition(b" ")[2].decode()) for place in places]
        opened = store.link.read_each(b"HEXISTS", found, had)
        let_in = [key for key, opener in zip(found, opened, strict=True) if opener]
        store.link.pipeline([(key, (b"HSETNX", key, has, b"")) for key in let_in])


def _iterate_places(link: Link, listed: bytes, upto: bytes) -> Iterator[list[bytes]]:
    """Yield the entries of the list of passes in chunks, the oldest first, up to a limit as `ZRANGE … BYLEX` takes it."""
    last = b"-"
    while places := link.call_key(b"ZRANGE", listed, last, upto, b"BYLEX", b"LIMIT", 0, _TIDY_BY):
        yield places
        last = b"(" + places[-1]


def admission_in(reply: Sequence[bytes | None], *, reader: bool) -> Admission | None:
    """Return what the reply to `Passes.read_command` means, or `None` for a pass that is unknown or revoked.

    `reader`: the request named a reader.
    """
    doc, openings, until, used, revoked, by_reader, by_visitor = reply
    if doc is None or openings is None or until is None or revoked is not None:
        return None
    story = str(_values(doc)[0])
    if by_reader is not None:
        return Admission(story, int(until), lets_in=True, writes=False)
    if by_visitor is not None:
        return Admission(story, int(until), lets_in=True, writes=reader and not by_visitor)
    return Admission(story, int(until), lets_in=int(used or 0) < int(openings), writes=True)


def _reader_field(reader: str | None) -> bytes:
    return b"" if reader is None else b"r" + reader_hash(reader)


def _visitor_field(visitor: str | None) -> bytes:
    return b"" if visitor is None else b"v" + visitor_hash(visitor)


def _values(doc: bytes) -> list[Any]:
    schema, *values = decode_list(doc)
    if schema != SCHEMA:
        raise NewerSchema(f"a story pass of schema {schema}, this service knows {SCHEMA}")
    return values


def _pass_of(pass_id: str, reply: Sequence[bytes | None]) -> StoryPass | None:
    doc, openings, until, used, revoked = reply
    if doc is None or openings is None or until is None:
        return None
    story, reason, actor, created_at, *marked = _values(doc)
    return StoryPass(
        pass_id,
        story,
        int(openings),
        int(until),
        reason,
        actor,
        created_at,
        revoked_at=int(revoked) if revoked is not None else None,
        used=int(used or 0),
        is_former=not marked,
    )


CLAIM = load("claim_gift")

UNMADE_AFTER = 60
"""Seconds after which a claim without its pass was left by a crash, and counts as free again."""
_KEPT = 62 * 86_400


class GiftAllowances(StoreRecords):
    """The gifts that readers gave, in the reader's own slot. Raises: StoreUnavailable from every method."""

    def claim(self, reader: str, pass_id: str, month: MeterWindow, most: int, now: float) -> bool:
        """Claim one of the month's gifts for a pass that is about to be created; `False` if all are used."""
        at, forgotten_before = int(now * 1000), int((now - _KEPT) * 1000)
        arguments = (pass_id, at, month.start * 1000, most, forgotten_before, int(now) + _KEPT)
        return bool(self._link.run(CLAIM, [self._key(reader)], arguments))

    def release(self, reader: str, *pass_ids: str) -> None:
        """Release claims whose passes were not created."""
        if pass_ids:
            self._call(b"ZREM", self._key(reader), *pass_ids)

    def list_given(self, reader: str, since: int, before: float | None = None) -> list[str]:
        """Return the passes that a reader gave since a moment (epoch seconds), newest first."""
        key = self._key(reader)
        upto = b"+inf" if before is None else b"%d" % int(before * 1000)
        found = self._call(b"ZRANGE", key, upto, since * 1000, b"BYSCORE", b"REV")
        return [pass_id.decode() for pass_id in cast("list[bytes]", found)]

    def move_to(self, gone: str, stays: str) -> None:
        """Count what a merged reader gave for the remaining one. The call can be repeated."""
        row = self._read_one(b"ZRANGE", self._key(gone), b"0", b"-1", b"WITHSCORES")
        if row:
            pairs = [part for at in range(0, len(row), 2) for part in (row[at + 1], row[at])]
            key = self._key(stays)
            self._link.pipeline([(key, (b"ZADD", key, *pairs)), (key, (b"EXPIRE", key, _KEPT))])

    def _key(self, reader: str) -> bytes:
        return self.keys.gifts(reader_hash(reader))
