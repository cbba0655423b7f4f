"""Erasing a reader: their own keys, and every record of others that names them.

Records of others are found by scanning all of them: a gift's payer, an old session or an event's list of changes can name a
reader, and no index knows those places. IDs are compared by their hash, so readers merged into this one are found too.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.adapters.crypto import claim_digest, is_claim_digest
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import READER_TAG, owner_mark, reader_hash, split_tags
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders, without_ids
from service.adapters.redis.readers.id_mentions import IdMentions
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.facts_codec import pack_owner, unpack_owner
from service.adapters.redis.stripe_objects.inbox import ref_from
from service.adapters.redis.stripe_objects.link_imports import pack_imports, unpack_imports
from service.domain.errors import NewerSchema, StoreUnavailable
from service.domain.ownership import UNASSIGNED
from service.domain.stripe_facts import Fingerprint, OwnerClaims

FIELD = load("replace_field")
FORGET_JOINED = load("forget_joined_reader")

_CHANGE = b"c:"
"""The prefix of an event's field with a reader's entitlements before and after."""
_STAYS = (b"audited", b"erasing")
"""The keys of a reader that stay: the index for erasing the audit log, and the sign of an unfinished erasure."""
_KNOWN_BY = ("", "past", "history", "held", "customers", "gifts", "audited", "erasing")
"""The keys of a reader of which one exists for a known reader, unless only a meter, an import or Stripe names the ID."""
_TRIES = 20


@dataclass(frozen=True, slots=True)
class _Gone:
    """The reader who is erased: the hashes of their IDs, and the digests that stand for them in fingerprints."""

    tags: Collection[bytes]
    digests: frozenset[str]
    joined: frozenset[bytes]
    """What a visitor's meter holds who joined the reader."""
    key_digests: Callable[[Fingerprint], Fingerprint]
    """`ErasedReaders.key_digests`."""

    def has(self, reader: bytes | str | None) -> bool:
        """Return whether this is one of their IDs."""
        name = reader.decode() if isinstance(reader, bytes) else reader
        return bool(name) and reader_hash(name or "") in self.tags

    def claims(self, claims: OwnerClaims) -> OwnerClaims:
        return without_ids(claims, self.has)

    def fingerprint(self, fingerprint: Fingerprint) -> Fingerprint:
        """Return a fingerprint in which no digest can be tested for being that of the reader."""
        shown = {value for name, value in fingerprint.items() if is_claim_digest(value, name)}
        return fingerprint if self.digests.isdisjoint(shown) else self.key_digests(fingerprint)


class Eraser(StoreRecords):
    """Erases a reader's data. Raises: StoreUnavailable from every method; a call can be repeated after a failure."""

    def __init__(self, store: Store, erased: ErasedReaders) -> None:
        super().__init__(store)
        self._key_digests = erased.key_digests

    def merged_ids(self, tags: Collection[bytes]) -> list[str]:
        """Return the IDs of those of these readers who were merged into another."""
        found = self._read_one(b"HMGET", self.keys.merge_names, *sorted(tags))
        return [name.decode() for name in found if name is not None]

    def merged_tags(self, tag: bytes) -> list[bytes]:
        """Return the tags of all readers who were merged into this one."""
        return split_tags(self._read_one(b"HGET", self.keys.merge_members, tag))

    def begin(self, tags: Collection[bytes]) -> bool:
        """Return whether something is kept of these readers. Then `finish` must follow; until then a repeat also finds it."""
        keys = [self.keys.tagged(tag, name) for tag in tags for name in _KNOWN_BY]
        is_known = len(tags) > 1 or any(self._read_each(b"EXISTS", keys))
        if is_known:
            self.mark_unfinished(tags)
        return is_known

    def mark_unfinished(self, tags: Collection[bytes]) -> None:
        keys = [self.keys.tagged(tag, "erasing") for tag in tags]
        self._link.pipeline([(key, (b"SET", key, b"1")) for key in keys])

    def finish(self, tags: Collection[bytes]) -> None:
        """Record that the erasure is finished, and forget merges: until then a repeat finds all IDs that the reader had."""
        for key in (self.keys.merge_heirs, self.keys.merge_members, self.keys.merge_names):
            self._call(b"HDEL", key, *tags, *(b">" + tag for tag in tags))
        keys = [self.keys.tagged(tag, "erasing") for tag in tags]
        self._link.pipeline([(key, (b"DEL", key)) for key in keys])

    def erase(
        self, tags: Collection[bytes], names: Sequence[str], step: Callable[[], None] = lambda: None
    ) -> dict[str, int]:
        """Erase everything that belongs to a reader or names them, and count the keys, objects, events and reasons.

        Without `names`, reasons stay as they are.
        """
        self._call(b"HDEL", self.keys.merge_todo, *tags)
        mentions = IdMentions(self._link, names) if names else None
        counts = Counter(keys=0, stripe_objects=0, stripe_events=0, reasons=0)
        joined = frozenset(b"\1" + owner_mark(name) for name in names)
        gone = _Gone(tags, frozenset(map(claim_digest, names)), joined, self._key_digests)
        for page in self._link.scan_nodes(self.keys.shared("{*")):
            counts.update(self._page(page, gone, mentions))
            step()
        return counts

    def _page(self, page: Sequence[bytes], gone: _Gone, mentions: IdMentions | None) -> dict[str, int]:
        by_kind = defaultdict[bytes, list[bytes]](list)
        for key in page:
            tag, rest = self.keys.split(key)
            if tag in gone.tags:
                by_kind[b"stays" if rest in _STAYS else b"own"].append(key)
            elif tag[:2] == b"s:":
                by_kind[rest[:2]].append(key)
            elif rest in (b"pass", b"history"):
                by_kind[rest].append(key)
            elif len(tag) == READER_TAG and rest in (b"", b"past"):
                by_kind[b"record"].append(key)
            elif len(tag) == READER_TAG and rest[:1] == b"v":
                by_kind[b"visitor"].append(key)
        own, passes = by_kind[b"own"], by_kind[b"pass"]
        for key in own:
            self._call(b"DEL", key)
        self._forget_joined(by_kind[b"visitor"], gone)
        self._clean(by_kind[b"a:"], gone, _without_acceptance)
        self._clean(self._admitting(passes, gone), gone, _without_admission)
        lists = [key for kind in _LISTS for key in by_kind[kind]]
        rows = zip(lists, self._read_each(b"ZRANGE", lists, b"0", b"-1"), strict=True)
        cleaned = sum(self._list(key, row, gone) for key, row in rows)
        cleaned += self._clean(by_kind[b"o:"], gone, _without_object)
        events = self._clean(by_kind[b"e:"], gone, _without_event)
        reasons = mentions.redact([*by_kind[b"record"], *passes], by_kind[b"history"]) if mentions is not None else 0
        return {"keys": len(own), "stripe_objects": cleaned, "stripe_events": events, "reasons": reasons}

    def _forget_joined(self, visitors: Sequence[bytes], gone: _Gone) -> None:
        """Remove the reader's mark from the meters of visitors who joined them."""
        for key, seen in zip(visitors, self._read_each(b"GETRANGE", visitors, b"5", b"13"), strict=True):
            if seen in gone.joined:
                self._link.run(FORGET_JOINED, [key], [seen, secrets.token_bytes(8)])

    def _admitting(self, passes: Sequence[bytes], gone: _Gone) -> list[bytes]:
        """Return the story passes that admitted the reader; a pass can have too many openings to read all of each."""
        asked = [(key, b"r" + tag) for key in passes for tag in gone.tags]
        replies = self._link.read([(key, (b"HEXISTS", key, field)) for key, field in asked])
        return [key for (key, _), admitted in zip(asked, replies, strict=True) if admitted]

    def _list(self, key: bytes, row: Sequence[bytes], gone: _Gone) -> int:
        """Remove the reader from a list of copy holders (`letter:reader`), seats or removed seats."""
        start = 2 if self.keys.split(key)[1][:2] == b"h:" else 0
        named = [member for member in row if gone.has(member[start:])]
        if named:
            self._call(b"ZREM", key, *named)
        return 1 if named else 0

    def _clean(self, keys: Sequence[bytes], gone: _Gone, clean: _Clean) -> int:
        """Redact the hashes that name the reader field by field, and return their number.

        Where another process writes a field meanwhile, that hash is read and redacted again.
        """
        redacted = 0
        for key, reply in zip(keys, self._read_each(b"HGETALL", keys), strict=True):
            due = _fields_to_clean(key, reply, gone, clean)
            redacted += bool(due)
            for _ in range(_TRIES):
                if not due:
                    break
                for field, value, cleaned in due:
                    self._link.run(FIELD, [key], [field, value, cleaned])
                due = _fields_to_clean(key, self._read_one(b"HGETALL", key), gone, clean)
        return redacted

    def start_file_rewrite(self) -> bool:
        """Make the store rewrite its append-only file, so that no file holds what was erased.

        Returns `False` if the store has no such file or forbids the command; then the operator has to do it.
        """
        try:
            if self._link.info().get("appendonly") != "yes":
                return False
            self._link.each_master(b"BGREWRITEAOF")
        except (StoreError, StoreUnavailable):
            return False
        return True

    def wait_for_file_rewrite(self, patience: float) -> bool:
        """Wait until the files are rewritten; return `False` if that fails or takes longer than `patience` seconds.

        A caller that stops the store afterwards needs this: a rewrite would end with it, and the old file stay.
        """
        until = time.monotonic() + patience
        while time.monotonic() < until:
            replies = [reply for _, reply in self._link.each_master(b"INFO", b"persistence")]
            if not any(busy in reply for reply in replies for busy in _REWRITING):
                return all(b"aof_last_bgrewrite_status:ok" in reply for reply in replies)
            time.sleep(_POLL)
        return False


_REWRITING = (b"aof_rewrite_in_progress:1", b"aof_rewrite_scheduled:1")
_POLL = 0.02

_Clean = Callable[[bytes, bytes, bytes, _Gone], bytes | None]
"""Key, field, value, reader → the value without the reader's ID (`b""`: delete it), or `None` if the ID is not in it."""

_LISTS = (b"h:", b"t:", b"r:")


def _fields_to_clean(key: bytes, stored: list[bytes], gone: _Gone, clean: _Clean) -> list[tuple[bytes, bytes, bytes]]:
    """Return the fields of a hash that name the reader, each with its value and the value without the ID."""
    found = ((field, value, clean(key, field, value, gone)) for field, value in field_pairs(stored))
    return [(field, value, cleaned) for field, value, cleaned in found if cleaned is not None]


def _without_object(key: bytes, field: bytes, value: bytes, gone: _Gone) -> bytes | None:
    """Return a field of an object (`objects`) without the reader."""
    if field in (b"link", b"known") or (field.startswith(b"linked:") and not field.endswith(b"#")):
        return b"" if gone.has(value) else None
    if field == b"imports":
        entries = [[one[0], "" if gone.has(one[1]) else one[1]] if one[1:] else one for one in unpack_imports(value)]
        return pack_imports(entries) if entries != unpack_imports(value) else None
    if field == b"unlinked":
        return pack_owner(UNASSIGNED) if gone.has(unpack_owner(value).reader) else None
    if field == b"owner":
        return b"" if value and gone.has(facts_codec.unpack_row(value)[0]) else None
    if field == b"doc" and value:
        return _without_reader(key.rpartition(b"}o:")[2].decode(), value, gone)
    if field == b"mark" and value:
        version = facts_codec.unpack_version(value)
        fingerprint, previous = map(gone.fingerprint, (version.fingerprint, version.previous))
        packed = facts_codec.pack_version(replace(version, fingerprint=fingerprint, previous=previous))
        return packed if packed != value else None
    if field == b"customer" and value:
        customer, link, claims, deleted_at, *rest = facts_codec.unpack_row(value)
        kept = [None if gone.has(link) else link, *_claims(claims, gone), deleted_at]
        owners = [None if isinstance(part, str) and gone.has(part) else part for part in rest]
        return _if_changed([customer, *kept, *owners], value)
    if field.startswith(b"session:") and not field.endswith(b"#"):
        row = facts_codec.unpack_row(value)
        at = next((at for at, part in enumerate(row) if isinstance(part, list)), None)
        if at is None:
            return None
        return _if_changed([*row[:at], *_claims(row[at], gone), *row[at + 1 :]], value)
    return None


def _without_event(key: bytes, field: bytes, value: bytes, gone: _Gone) -> bytes | None:
    """Return a field of an event (`inbox`) without the reader."""
    if field.startswith(_CHANGE):
        return b"" if gone.has(field[2:]) else None
    if field != b"says" or not value:
        return None
    refs, facts, update, previous, *rest = facts_codec.unpack_row(value)
    cleaned = _without_reader(facts[0], facts[1].encode(), gone) if facts else None
    kept = [facts[0], cleaned.decode()] if cleaned is not None else facts
    return _if_changed([refs, kept, update, gone.fingerprint(previous), *rest], value)


def _without_acceptance(key: bytes, field: bytes, value: bytes, gone: _Gone) -> bytes | None:
    """Return the invitations that a reader used (`invitations`): none if it is the reader."""
    return b"" if gone.has(field) else None


def _without_admission(key: bytes, field: bytes, value: bytes, gone: _Gone) -> bytes | None:
    """Return a field of a story pass (`passes`) without the reader. A visitor whom they joined stays admitted."""
    if field[:1] == b"r" and field[1:] in gone.tags:
        return b""
    return b"-" if field[:1] == b"v" and value[1:] in gone.tags else None


def _without_reader(name: str, text: bytes, gone: _Gone) -> bytes | None:
    try:
        facts = facts_codec.unpack_facts(ref_from(name), text)  # type: ignore[arg-type]  # what has a doc is kept, so a ObjectRef
    except (NewerSchema, ValueError):
        return None
    kept = replace(facts, claims=gone.claims(facts.claims), fingerprint=gone.fingerprint(facts.fingerprint))
    return None if kept == facts else facts_codec.pack_facts(kept)


def _claims(row: Any, gone: _Gone) -> list[Any]:
    return [facts_codec.claims_row(gone.claims(facts_codec.claims_from(row)))]


def _if_changed(row: list[Any], value: bytes) -> bytes | None:
    packed = facts_codec.pack_row(row)
    return packed if packed != value else None
