"""Reading the audit log: pages, one reader's records, the records that a history names. What it proves: `audit_check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import Head
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store

STATE = load("audit_state")

LOOKED_AT = 5_000
"""The most records that one page looks through; where a filter leaves few, `next` goes on from there."""
_BATCH = 100


@dataclass(frozen=True, slots=True)
class State:
    """What the chain says of itself; `records` is how many the store holds. Unproven: `audit_check` proves it."""

    head: Head
    seq: bytes
    """The head's number as it lies in the store."""
    checkpoint: bytes
    records: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: all that is given must hold."""

    reader: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None

    def _asked(self) -> dict[str, str]:
        asked = {"actor": self.actor, "action": self.action, "target": self.target}
        return {name: value for name, value in asked.items() if value is not None}

    def fits(self, record: dict[str, Any]) -> bool:
        """Whether a record is one of those."""
        return all(record.get(name) == value for name, value in self._asked().items())

    def needles(self) -> list[bytes]:
        """What stands in every record that fits, as `chain.pack` writes it."""
        return [chain.pack({name: value})[1:-1] for name, value in self._asked().items()]


class AuditLog:
    """The records of the chain. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def state(self) -> State:
        """The chain's end, its checkpoint, its length, at one moment."""
        seq, mark, checkpoint, records = self._link.run(STATE, [self._keys.audit_log, self._keys.audit_head], [])
        number = int(seq) if bytes(seq).isdigit() else 0
        head = Head(number, bytes(mark).decode("latin-1") or chain.START)
        return State(head, bytes(seq), bytes(checkpoint), int(records))

    def numbers(self) -> set[int]:
        """The numbers of all records that the store holds; for whoever cannot rely on the head. What is none is -1."""
        log = self._keys.audit_log
        found = cast("list[bytes]", self._link.call(log, b"HKEYS", log))
        return {int(name) if name.isdigit() else -1 for name in found}

    def last(self) -> Head:
        """The end of the chain by its records, whatever the head says."""
        seq = max(self.numbers(), default=0)
        (text,) = self.texts([seq])
        return Head(seq, str((chain.unpack(text) or {}).get("hash", "")))

    def texts(self, seqs: Sequence[int]) -> list[bytes | None]:
        """Records as they lie in the store; `None` where there is none."""
        log = self._keys.audit_log
        found = self._link.call(log, b"HMGET", log, *seqs) if seqs else []
        return cast("list[bytes | None]", found)

    def records(self, seqs: Sequence[int]) -> list[dict[str, Any]]:
        """Records as the contract shows them, without those that are gone."""
        texts = self.texts(seqs)
        return [chain.shown(seq, chain.unpack(text)) for seq, text in zip(seqs, texts, strict=True) if text is not None]

    def page(self, wanted: Wanted, *, limit: int, after: int | None) -> tuple[list[dict[str, Any]], int | None]:
        """Records, newest first, and from which number the next page goes on (`None`: there is no more)."""
        found: list[dict[str, Any]] = []
        looked, last = 0, None
        needles = wanted.needles()
        for seqs in self._downwards(wanted, after):
            for seq, text in zip(seqs, self.texts(seqs), strict=True):
                if text is None:
                    continue
                if len(found) == limit:
                    return found, last
                last = seq
                # A record that does not even hold the words need not be read; five thousand of them take a while.
                if all(needle in text for needle in needles):
                    record = chain.shown(seq, chain.unpack(text))
                    if wanted.fits(record):
                        found.append(record)
            looked += len(seqs)
            if looked >= LOOKED_AT:
                return found, seqs[-1] if seqs[-1] > 1 else None
        return found, None

    def _downwards(self, wanted: Wanted, after: int | None) -> Iterator[Sequence[int]]:
        head = self.state().head.seq
        top = head if after is None else min(head, after - 1)
        if wanted.reader is None:
            for start in range(top, 0, -_BATCH):
                yield range(start, max(start - _BATCH, 0), -1)
            return
        key = self._keys.audited(reader_hash(wanted.reader))
        while top > 0:
            found = self._link.call(key, b"ZRANGE", key, top, b"-inf", b"BYSCORE", b"REV", b"LIMIT", 0, _BATCH)
            if not found:
                return
            seqs = [int(seq) for seq in found]
            yield seqs
            top = seqs[-1] - 1

    def of(self, reader: str) -> list[dict[str, Any]]:
        """Every record about a reader, oldest first."""
        key = self._keys.audited(reader_hash(reader))
        seqs = [int(seq) for seq in self._link.call(key, b"ZRANGE", key, 0, -1)]
        return [record for start in range(0, len(seqs), 500) for record in self.records(seqs[start : start + 500])]

    def everything(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """The records of these numbers, oldest first, without those that are gone."""
        for seqs in chain.chunks(first, last):
            yield from self.records(seqs)

    def by_entry(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Records by the ids of their entries, as a reader's history names them; without those no longer known."""
        seqs = {entry_id: seq for entry_id, seq in zip(ids, self.seqs(ids), strict=True) if seq}
        found = {record["seq"]: record for record in self.records(list(seqs.values()))}
        return {entry_id: found[seq] for entry_id, seq in seqs.items() if seq in found}

    def seqs(self, ids: Iterable[str]) -> list[int | None]:
        """The numbers that entries have in the chain; `None`: not there, or not known any more."""
        seen = self._keys.audit_seen
        commands = [(seen, (b"ZSCORE", seen, entry_id.encode())) for entry_id in ids]
        scores = self._link.read(commands) if commands else []
        return [None if score is None else int(float(score)) for score in scores]
