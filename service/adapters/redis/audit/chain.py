"""The audit chain: how records are made and linked, and how they are read.

A stored record is `{"seq", "id", "at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason",
"digest", "prev", "hash"}`. `digest` is an HMAC of the entry's ID and content, `hash` an HMAC of `seq`, `prev` and `digest`.
An erasure removes a reader's ID from the content. The record then also holds `erasure`, the ID of the entry that states the
erasure, and `erasure_mark`, an HMAC of what is left, which replaces `digest` as its proof. That entry is a later `reader.erase`
whose `after.redacted` lists the numbers as ranges. So `verify` accepts what an erasure removed, and nothing else.

A former release emptied records: their ID and every field of `CONTENT` are null, and a later `reader.erase` lists their numbers
in `after.audit`. Such records stay valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from service.adapters.batches import batched
from service.adapters.crypto import Signer
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.records import StoreRecords

START = "0" * 64
"""The `prev` of the very first record."""

CONTENT = ("at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason")
"""The content of an entry; `digest` is computed from these fields and the entry's ID."""

PUBLIC_FIELDS = ("seq", *CONTENT, "digest", "prev", "hash")
"""The fields of a record as the contract shows it."""

STORED_FIELDS = ("seq", "id", *CONTENT, "digest", "prev", "hash")
"""The fields of a stored record, in this order."""

ERASURE_FIELDS = ("erasure", "erasure_mark")
"""What a stored record holds besides, if an erasure removed a reader's ID from it."""

ERASE_ACTION = "reader.erase"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the number of the newest record, which is also the count of all records ever made, and its hash."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def parse_head(text: str) -> Head:
    """Return the head of the text `SEQ:HASH`, which every export and every listing prints.

    Raises: ValueError with a sentence for the user.
    """
    seq, _, mark = text.strip().partition(":")
    if not (
        seq.isascii() and seq.isdigit() and len(seq) < 16 and len(mark) == 64 and set(mark) <= set("0123456789abcdef")
    ):
        raise ValueError("must be SEQ:HASH, the number and the 64 hex digits that an export or a listing printed")
    return Head(int(seq), mark)


def digest_input(record: dict[str, Any]) -> bytes:
    """Return the bytes that `digest` is computed from: ID and content, in a fixed order and spelling."""
    values = [record.get(name) for name in ("id", *CONTENT)]
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def redaction_input(record: dict[str, Any]) -> bytes:
    """Return the bytes that `erasure_mark` is computed from: the record's place and digest, the erasure, and what is left."""
    values = [record.get(name) for name in ("seq", "digest", "erasure", "id", *CONTENT)]
    return b"erasure:" + json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def is_as_signed(record: dict[str, Any], signer: Signer) -> bool:
    """Return whether a record's content is what was signed, or what an erasure left of it."""
    if "erasure" in record:
        return signer.verify(redaction_input(record), str(record.get("erasure_mark")))
    return signer.verify(digest_input(record), str(record.get("digest")))


def hash_input(seq: int, prev: str, digest: str) -> bytes:
    return f"{seq}:{prev}:{digest}".encode()


def pack(value: dict[str, Any]) -> bytes:
    """Return an entry or a record as stored."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def unpack(text: bytes | None) -> dict[str, Any] | None:
    """Return a record of the store, or `None` for one that is missing or unreadable.

    Text with half a surrogate pair counts as unreadable, because it cannot be encoded for output.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def link_records(entries: Iterable[dict[str, Any]], head: Head, signer: Signer) -> list[dict[str, Any]]:
    """Return the records that these entries become behind `head`."""
    records, seq, prev = [], head.seq, head.hash
    for written in entries:
        seq += 1
        record: dict[str, Any] = {"seq": seq, "id": written["id"], **{name: written.get(name) for name in CONTENT}}
        record["digest"] = signer.sign(digest_input(record))
        record["prev"] = prev
        record["hash"] = prev = signer.sign(hash_input(seq, prev, record["digest"]))
        records.append(record)
    return records


def public_record(seq: int, record: dict[str, Any] | None) -> dict[str, Any]:
    """Return a record as the contract shows it; one that is unreadable has its number only, and `verify` reports why."""
    return {name: (record or {}).get(name) for name in PUBLIC_FIELDS} | {"seq": seq}


def ranges(seqs: Iterable[int]) -> list[list[int]]:
    """Return numbers as pairs of first and last: `[[3, 3], [7, 9]]`."""
    found: list[list[int]] = []
    for seq in sorted(set(seqs)):
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


STATE = load("read_audit_state")

MOST_SEARCHED = 5_000
"""The most records that one page searches; if a filter matches few, `next` continues from there."""
BATCH = 500
"""Records read at once by who reads all of them."""
_FILTERED = 100
"""Records read at once for a page of those that match."""


@dataclass(frozen=True, slots=True)
class ChainState:
    """What the chain states of itself; `records` is how many the store holds. `verification` proves or refutes it."""

    head: Head
    seq: bytes
    """The head's number as it lies in the store."""
    checkpoint: bytes
    records: int


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to list: every field that is given must match."""

    reader: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None

    def _asked(self) -> dict[str, str]:
        asked = {"actor": self.actor, "action": self.action, "target": self.target}
        return {name: value for name, value in asked.items() if value is not None}

    def matches(self, record: dict[str, Any]) -> bool:
        return all(record.get(name) == value for name, value in self._asked().items())

    def fragments(self) -> list[bytes]:
        """Return bytes that every matching record contains, as `pack` writes them."""
        return [pack({name: value})[1:-1] for name, value in self._asked().items()]


class AuditLog(StoreRecords):
    """Reads the records of the chain. Raises: StoreUnavailable from every method."""

    def state(self) -> ChainState:
        """Return the chain's end, its checkpoint and its length, at one moment."""
        seq, mark, checkpoint, records = self._link.run(STATE, [self.keys.audit_log, self.keys.audit_head], [])
        number = int(seq) if seq.isdigit() else 0
        head = Head(number, mark.decode("latin-1") or START)
        return ChainState(head, seq, checkpoint, int(records))

    def stored_numbers(self) -> set[int]:
        """Return the numbers of all stored records, for callers that cannot trust the head; a field that is no number is -1."""
        return {int(name) if name.isdigit() else -1 for name in self._call(b"HKEYS", self.keys.audit_log)}

    def newest_head(self) -> Head:
        """Return the end of the chain according to its records, whatever the head states."""
        seq = max(self.stored_numbers(), default=0)
        (text,) = self.load_packed([seq])
        return Head(seq, str((unpack(text) or {}).get("hash", "")))

    def load_packed(self, seqs: Sequence[int]) -> list[bytes | None]:
        """Return records as stored; `None` for one that is missing."""
        return cast("list[bytes | None]", self._call(b"HMGET", self.keys.audit_log, *seqs) if seqs else [])

    def load_records(self, seqs: Sequence[int]) -> list[dict[str, Any]]:
        """Return records as the contract shows them, without those that are missing."""
        texts = self.load_packed(seqs)
        return [public_record(seq, unpack(text)) for seq, text in zip(seqs, texts, strict=True) if text is not None]

    def load_page(
        self, wanted: AuditFilter, *, limit: int, after: int | None
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return matching records, newest first, and the number that the next page starts below; `None` for the last page."""
        found: list[dict[str, Any]] = []
        looked, last = 0, None
        needles = wanted.fragments()
        for seqs in self._downwards(wanted, after):
            for seq, text in zip(seqs, self.load_packed(seqs), strict=True):
                if text is None:
                    continue
                if len(found) == limit:
                    return found, last
                last = seq
                # A record without these fragments is not decoded: decoding five thousand takes long.
                if all(needle in text for needle in needles):
                    record = public_record(seq, unpack(text))
                    if wanted.matches(record):
                        found.append(record)
            looked += len(seqs)
            if looked >= MOST_SEARCHED:
                return found, seqs[-1] if seqs[-1] > 1 else None
        return found, None

    def _downwards(self, wanted: AuditFilter, after: int | None) -> Iterator[Sequence[int]]:
        head = self.state().head.seq
        top = head if after is None else min(head, after - 1)
        if wanted.reader is None:
            yield from batched(range(top, 0, -1), _FILTERED)
            return
        key = self.keys.audited(reader_hash(wanted.reader))
        while top > 0:
            found = self._call(b"ZRANGE", key, top, b"-inf", b"BYSCORE", b"REV", b"LIMIT", 0, _FILTERED)
            if not found:
                return
            seqs = [int(seq) for seq in found]
            yield seqs
            top = seqs[-1] - 1

    def list_for_reader(self, reader: str) -> list[dict[str, Any]]:
        """Return every record about a reader, oldest first."""
        seqs = [int(seq) for seq in self._call(b"ZRANGE", self.keys.audited(reader_hash(reader)), 0, -1)]
        return [record for batch in batched(seqs, BATCH) for record in self.load_records(batch)]

    def iterate_records(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield the records with these numbers, oldest first, without those that are missing."""
        for seqs in batched(range(first, last + 1), BATCH):
            yield from self.load_records(seqs)

    def find_by_entry(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return records by the IDs of their entries, as a reader's history names them, without those that are unknown."""
        seqs = {entry_id: seq for entry_id, seq in zip(ids, self.numbers_of_entries(ids), strict=True) if seq}
        found = {record["seq"]: record for record in self.load_records(list(seqs.values()))}
        return {entry_id: found[seq] for entry_id, seq in seqs.items() if seq in found}

    def numbers_of_entries(self, ids: Iterable[str]) -> list[int | None]:
        """Return the numbers of entries in the chain; `None` for one that is not in it or is too old to be known."""
        seen = self.keys.audit_seen
        commands = [(seen, (b"ZSCORE", seen, entry_id.encode())) for entry_id in ids]
        scores = self._link.read(commands)
        return [None if score is None else int(float(score)) for score in scores]
