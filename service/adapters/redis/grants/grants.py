"""Grants: access that admins give, change and revoke, each time with a reason and an audit entry.

Pages, API and command line all use this module. `service.domain.grant_rules` decides what may be granted; this module writes
a grant in one step with its history and its audit entry.

`GrantEndIndex` is an index of grants by their end, for "expires within 14 days".

The index lies in a slot of its own, so a grant and its entry cannot be written in one step. Therefore the index is never late:
before a grant is written, the earlier of its two ends is stored here, and afterwards the right one. An entry that a crash
leaves behind names a grant that ends later or is gone. Readers of the index check the grant's own record and correct it.

    grants  sorted set: `<grant's ID> <reader's hash>`, by its end      about  hash: the same → [plan, start, reader or null]

The reader is null for an imported grant, because an import stores only hashes; the reader's own record has the ID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

from service.adapters.crypto import new_id
from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers.readers import Readers, StoredSource, write_of
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.catalogue import Catalogue
from service.domain.errors import RevokedGrant, UnknownGrant
from service.domain.sources import Grant, Source, end_order
from service.domain.times import write_time


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A request for a grant: a plan or features, a reason, a start, and an end (`None`: no end); both in epoch seconds."""

    plan: str | None
    features: tuple[str, ...]
    reason: str
    start: int
    until: int | None


class Grants:
    """Creates, changes and revokes grants. Raises: StoreUnavailable from every method."""

    def __init__(self, readers: Readers, catalogue: Catalogue, audit: AuditWriter, known: RecentEntitlements) -> None:
        self._readers = readers
        self._catalogue = catalogue
        self._audit = audit
        self._known = known

    def create(
        self,
        reader: str,
        wanted: GrantRequest,
        actor: Actor,
        now: float,
        *,
        grant_id: str | None = None,
        approval: str | None = None,
    ) -> Grant:
        """Create a grant. If one with this `grant_id` exists, return it as it is: the call can be repeated.

        `approval` names the approval that a second admin confirmed, for the audit entry.
        """
        grant = Grant(
            id=grant_id or new_id("gr", now),
            plan=wanted.plan,
            features=wanted.features,
            reason=wanted.reason,
            start=wanted.start,
            until=wanted.until,
            actor=actor.name,
            created_at=int(now),
        )
        written = audit_entry(
            actor,
            "grant.create",
            now=now,
            reader=reader,
            target=grant.id,
            after=describe_grant(grant, now) | ({"approval": approval} if approval else {}),
            reason=wanted.reason,
        )
        if self._write(reader, grant, 1, written, now):
            return grant
        return self.find(reader, grant.id)

    def change(self, reader: str, grant_id: str, until: int | None, reason: str, actor: Actor, now: float) -> Grant:
        """Change the end of a grant. Raises: UnknownGrant, RevokedGrant."""

        def extended(grant: Grant) -> Grant:
            if grant.revoked_at is not None:
                raise RevokedGrant
            return replace(grant, until=until)

        return self._alter(reader, grant_id, extended, "grant.change", reason=reason, actor=actor, now=now)

    def revoke(self, reader: str, grant_id: str, reason: str, actor: Actor, now: float) -> Grant:
        """Revoke a grant at once and for every worker; a revoked grant stays as it is. Raises: UnknownGrant."""

        def revoked(grant: Grant) -> Grant:
            return grant if grant.revoked_at is not None else replace(grant, revoked_at=int(now))

        return self._alter(reader, grant_id, revoked, "grant.revoke", reason=reason, actor=actor, now=now)

    def list_for_reader(self, reader: str) -> list[Grant]:
        """Return all grants of a reader, newest first, including expired ones."""
        found = [source for source in self._readers.load_all(reader) if isinstance(source, Grant)]
        return sorted(found, key=lambda grant: (grant.created_at, grant.id), reverse=True)

    def find(self, reader: str, grant_id: str) -> Grant:
        """Return a grant of a reader. Raises: UnknownGrant."""
        return self._found(reader, grant_id)[1]

    def _alter(
        self,
        reader: str,
        grant_id: str,
        change: Callable[[Grant], Grant],
        action: str,
        *,
        reason: str,
        actor: Actor,
        now: float,
    ) -> Grant:
        while True:
            kept, grant = self._found(reader, grant_id)
            changed = change(grant)
            if changed == grant:
                return grant
            before, after = differences(describe_grant(grant, now), describe_grant(changed, now))
            written = audit_entry(
                actor, action, now=now, reader=reader, target=grant_id, before=before, after=after, reason=reason
            )
            if self._write(reader, changed, kept.number + 1, written, now):
                return changed

    def _found(self, reader: str, grant_id: str) -> tuple[StoredSource, Grant]:
        kept = self._readers.find_source(reader, f"g:{grant_id}".encode())
        if kept is None or not isinstance(kept.source, Grant):
            raise UnknownGrant
        return kept, kept.source

    def _write(self, reader: str, grant: Grant, number: int, written: dict[str, Any], now: float) -> bool:
        """Write a grant with its audit entry; return `False` if another process wrote it meanwhile."""
        tag, ended, cause = reader_hash(reader), grant.revoked_at is not None, f"audit:{written['id']}"
        with self._audit.recording(tag, written) as entry:
            write = write_of(grant, number, rule="next", ended=ended, now=now, cause=cause, audit=entry)
            outcome = self._readers.write(reader, write)
            if _less(outcome.before, grant) and outcome.verdict != "conflict":
                self._known.refresh({tag: lambda: self._readers.load_held(reader, self._catalogue, now)})
        return outcome.verdict != "conflict"


def _less(before: Source | None, after: Grant) -> bool:
    """Return whether a change takes access away: a revocation, or an earlier end."""
    if not isinstance(before, Grant):
        return False
    return end_order(after.until) < end_order(before.until) or (
        after.revoked_at is not None and before.revoked_at is None
    )


def describe_grant(grant: Grant, now: float) -> dict[str, Any]:
    """Return a grant as the audit log records it. The entry has fields of its own for the reason and the usual start."""
    what: dict[str, Any] = {"plan": grant.plan} if grant.plan else {"features": list(grant.features)}
    start = {"from": write_time(grant.start)} if grant.start != grant.created_at else {}
    return {**what, **start, "until": write_time(grant.until), "status": grant.status_at(now)}


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return only the fields that differ, before and after."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


_IMPORTED = 40
_A_TIME = 500

Commands = list[tuple[bytes, tuple[bytes | int | str, ...]]]


@dataclass(frozen=True, slots=True)
class GrantExpiry:
    """A grant with its end. `plan` is `None` for single features, `reader` where it is unknown; times in epoch seconds."""

    grant: str
    plan: str | None
    reader: str | None
    start: int
    until: int | None
    import_id: str | None = None


class GrantEndIndex(StoreRecords):
    """Maintains and reads the index. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._key = store.keys.grant_ends
        self._about = store.keys.grant_details
        self._readers = Readers(store)
        self._reader_index = ReaderIndex(store)

    def announce(self, reader: str, grant: Grant) -> None:
        """Prepare for a write of this grant: store the earlier of its old and new ends."""
        if grant.revoked_at is None:
            member = _member(grant, reader_hash(reader))
            self._link.pipeline(
                [
                    (self._about, (b"HSET", self._about, member, _details(grant, reader))),
                    (self._key, (b"ZADD", self._key, b"LT", _score(grant.until), member)),
                ]
            )

    def confirm(self, reader: str, grant: Grant) -> None:
        """Store the end of a grant that was written, or remove a revoked grant."""
        member = _member(grant, reader_hash(reader))
        if grant.revoked_at is not None:
            self._drop([member])
        else:
            self._call(b"ZADD", self._key, _score(grant.until), member)

    def add_imported(self, grants: Iterable[tuple[bytes, Grant]], import_id: str) -> None:
        """Add grants that an import wrote, by the readers' hashes.

        Small batches: hundreds in one command would delay access checks.
        """
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
                about += [member, _details(grant, None)]
            else:  # A grant that the import extended or restored can be in the index already, with the reader's ID.
                commands.append((self._about, (b"HSETNX", self._about, member, _details(grant, None))))
        if about:
            commands.append((self._about, (b"HSET", self._about, *about)))
        if scored:
            self._link.pipeline([*commands, (self._key, (b"ZADD", self._key, *scored))])
        self._drop(gone)

    def count(self, after: float, upto: float) -> int:
        """Return how many grants end within this time; entries left by a crash are included until a read corrects them."""
        return int(self._call(b"ZCOUNT", self._key, b"(%d" % int(after), int(upto)))

    def list_ending(self, after: float, upto: float, limit: int) -> list[GrantExpiry]:
        """Return the grants that end within this time, the first to end first, as the readers' records have them now."""
        limits = (b"(%d" % int(after), int(upto), b"BYSCORE", b"LIMIT", 0, limit)
        found = self._call(b"ZRANGE", self._key, *limits)
        pairs = [(member.partition(b" ")[2], e) for member, e in zip(found, self._checked(found), strict=True) if e]
        ending = [(tag, e) for tag, e in pairs if e.until is not None and after < e.until <= upto]
        names = self._reader_index.find_ids({tag for tag, e in ending if e.reader is None})
        return [replace(e, reader=e.reader or names.get(tag)) for tag, e in ending]

    def iterate_active(self, now: float) -> Iterator[list[GrantExpiry]]:
        """Yield all grants that have begun and not ended, in pages, as the index has them; one can occur twice."""
        for row in self._link.scan_key(b"ZSCAN", self._key, _A_TIME):
            scores = {member: float(score) for member, score in zip(row[::2], row[1::2], strict=True)}
            members = [member for member, score in scores.items() if score > now]
            details = self._call(b"HMGET", self._about, *members) if members else []
            found = [_ending(m, about, scores[m]) for m, about in zip(members, details, strict=True) if about]
            yield [ending for ending in found if ending.start <= now]

    def prune(self, now: float) -> int:
        """Remove grants that have ended, and return their number; grants that were extended meanwhile stay."""
        gone = 0
        while True:
            limits = (b"-inf", int(now) - 60, b"BYSCORE", b"LIMIT", 0, _A_TIME)
            found = self._call(b"ZRANGE", self._key, *limits)
            checked = zip(found, self._checked(found), strict=True)
            over = [m for m, e in checked if e is not None and e.until is not None and e.until <= now]
            self._drop(over)
            gone += len(over)
            if len(found) < _A_TIME:
                return gone

    def remove_reader(self, tag: bytes, grants: Sequence[Grant]) -> None:
        """Remove the grants of an erased reader, given by their hash."""
        self._drop([_member(grant, tag) for grant in grants])

    def _drop(self, members: Sequence[bytes]) -> None:
        if members:
            self._link.pipeline(
                [(self._key, (b"ZREM", self._key, *members)), (self._about, (b"HDEL", self._about, *members))]
            )

    def _checked(self, members: Sequence[bytes]) -> list[GrantExpiry | None]:
        """Return the entries as the readers' records have them, and correct the index where it differs."""
        if not members:
            return []
        details = self._call(b"HMGET", self._about, *members)
        checked: list[GrantExpiry | None] = []
        gone: list[bytes] = []
        corrections: Commands = []
        grants = self._readers.find_grants([(tag, grant) for grant, _, tag in (m.partition(b" ") for m in members)])
        for member, about, grant in zip(members, details, grants, strict=True):
            if grant is None or about is None or grant.revoked_at is not None:
                gone.append(member)
                checked.append(None)
                continue
            corrections.append((self._key, (b"ZADD", self._key, b"XX", _score(grant.until), member)))
            _, _, reader = cast("tuple[Any, Any, str | None]", decode_list(about))
            checked.append(GrantExpiry(grant.id, grant.plan, reader, grant.start, grant.until, grant.import_id))
        self._drop(gone)
        self._link.pipeline(corrections)
        return checked


def _member(grant: Grant, tag: bytes) -> bytes:
    return grant.id.encode() + b" " + tag


def _details(grant: Grant, reader: str | None) -> bytes:
    return encode_json([grant.plan, grant.start, reader])


def _score(until: int | None) -> bytes:
    return b"+inf" if until is None else b"%d" % until


def _ending(member: bytes, about: bytes, score: float) -> GrantExpiry:
    plan, start, reader = decode_list(about)
    grant = member.partition(b" ")[0].decode()
    return GrantExpiry(grant, plan, reader, start, None if score == float("inf") else int(score))
