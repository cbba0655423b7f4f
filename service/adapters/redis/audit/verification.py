"""Verifying and pruning the audit chain: the first record at fault, a cut end, a changed head or checkpoint.

A checkpoint allows old records to be deleted: `{"first", "prev", "at", "count", "mark"}`, signed. It names the first record
left and the hash of the one before it, so that a walk can begin there. A chain that begins later without a checkpoint was
cut at the front.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service.adapters.batches import batched
from service.adapters.crypto import Signer
from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditLog, ChainState, Head
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords
from service.domain.times import utc

PRUNE = load("prune_audit_records")


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is not as it was made. `seq` can be one past the end: then records were cut off there."""

    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class ChainStart:
    """Where the chain starts after pruning: the first record left, the hash of the one before it, and when that was signed."""

    first: int
    prev: str
    at: str | None = None


BEGINNING = ChainStart(1, chain.START)


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of a verification. `fault` is `None` if the chain is valid from `checkpoint` to `head`."""

    fault: Fault | None
    head: Head
    checkpoint: ChainStart
    checked: int
    refused: int
    """How many entries lay in outboxes that this service had not put there; they never got into the chain."""
    redacted: int = 0
    """How many of the records lack what an erasure removed; a later record states each erasure."""


class BrokenChain(Exception):
    """The chain is not valid, so no records are pruned: a checkpoint would vouch for them. Holds the verdict."""

    def __init__(self, verdict: ChainVerdict) -> None:
        super().__init__(f"Record {verdict.fault.seq} {verdict.fault.why}." if verdict.fault else "")
        self.verdict = verdict


@dataclass
class Walk:
    """A walk along a chain, record by record.

    It continues behind the first fault, because later records can prove an erasure.
    """

    signer: Signer
    seq: int
    """Of the record that comes next."""
    prev: str
    faults: list[Fault] = field(default_factory=list)
    redacted: int = 0
    """How many records an erasure changed."""
    _emptied: list[int] = field(default_factory=list)
    _emptying: list[tuple[int, int]] = field(default_factory=list)
    _redacted: list[tuple[int, str]] = field(default_factory=list)
    _redacting: dict[str, tuple[int, list[list[int]]]] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)

    def step(self, text: bytes | None) -> None:
        """Check the next record, as it is stored."""
        seq = self.seq
        record = chain.unpack(text)
        why = self._wrong(seq, record, missing=text is None)
        if why is None and record is not None and _repacked(record) != text:
            why = "was changed: it holds what no record of ours holds, or is spelled in another way"
        if why:
            self.faults.append(Fault(seq, why))
        self.seq += 1

    def first_fault(self) -> Fault | None:
        """Return the first record at fault of all that were checked."""
        emptied = [seq for seq in self._emptied if not any(first <= seq <= last for first, last in self._emptying)]
        redacted = [seq for seq, erasure in self._redacted if not self._is_stated(seq, erasure)]
        faults = [*self.faults[:1], *(Fault(seq, _EMPTIED) for seq in emptied[:1])]
        faults += [Fault(seq, _REDACTED) for seq in redacted[:1]]
        return min(faults, key=lambda fault: fault.seq, default=None)

    def _wrong(self, seq: int, record: dict[str, Any] | None, *, missing: bool) -> str | None:
        if record is None:
            self.prev = ""
            return "is missing: it was dropped or cut off" if missing else "is no record any more: it was changed"
        digest, mark, prev = (str(record.get(name)) for name in ("digest", "hash", "prev"))
        expected, self.prev = self.prev, mark
        if record.get("seq") != seq or type(record["seq"]) is not int:  # 2.0 and true are equal to numbers, too.
            return f"stands where it does not belong: it says that it is record {record.get('seq')}"
        if not self.signer.verify(chain.hash_input(seq, prev, digest), mark):
            return "was changed, moved or inserted: its hash was not made by this service (with a secret in PAYWALL_SECRETS)"
        if expected and prev != expected:
            return "does not follow the record before it: a record was removed or inserted there"
        if _is_emptied(record):
            self.redacted += 1
            self._emptied.append(seq)
            return None
        if not chain.is_as_signed(record, self.signer):
            return "was changed: what it says is not what was signed"
        if "erasure" in record:
            self.redacted += 1
            self._redacted.append((seq, str(record["erasure"])))
        self._note_erasure(seq, record)
        return self._repetition(seq, str(record.get("id")))

    def _note_erasure(self, seq: int, record: dict[str, Any]) -> None:
        if record["action"] == chain.ERASE_ACTION:
            after = record["after"] or {}
            self._emptying += [(first, last) for first, last in after.get("audit", [])]
            self._redacting[str(record["id"])] = (seq, after.get("redacted", []))

    def _is_stated(self, seq: int, erasure: str) -> bool:
        """Return whether a later record states that this erasure changed the record with this number."""
        stated_by, numbers = self._redacting.get(erasure, (0, []))
        return seq < stated_by and any(first <= seq <= last for first, last in numbers)

    def _repetition(self, seq: int, entry_id: str) -> str | None:
        before = self._ids.setdefault(entry_id, seq)
        return None if before == seq else f"repeats the entry of record {before}: it was inserted"


_EMPTIED = "was emptied, and no later record says that its reader was erased"
_REDACTED = "lacks what it once said, and no later record says that an erasure removed it"


def _repacked(record: dict[str, Any]) -> bytes:
    names = chain.STORED_FIELDS + (chain.ERASURE_FIELDS if "erasure" in record else ())
    return chain.pack({name: record.get(name) for name in names})


def _is_emptied(record: dict[str, Any]) -> bool:
    """Return whether a record has no content, as a former release left the records of an erased reader."""
    return all(record.get(name) is None for name in ("id", *chain.CONTENT))


class AuditVerifier(StoreRecords):
    """Verifies and prunes the chain. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, log: AuditLog, signer: Callable[[], Signer]) -> None:
        super().__init__(store)
        self._log = log
        self._signer = signer

    def load_chain_start(self) -> ChainStart:
        """Return the checkpoint in force; its signature is not checked."""
        return self._opened(self._log.state().checkpoint)[0]

    def verify(self, known: Head | None = None) -> ChainVerdict:
        """Walk the whole chain. `known` is a head that an export or a listing printed: no record up to it may be missing."""
        try:
            return self._verdict(known)
        except StoreError:  # The key does not hold a hash.
            fault = Fault(1, "cannot be read: in the place of the log, or of its head, something else was put")
            return ChainVerdict(fault, Head(0, chain.START), BEGINNING, 0, 0)

    def _verdict(self, known: Head | None) -> ChainVerdict:
        walked = None
        while walked is None:
            walked = self._walked(self._log.state())
        walk, checkpoint, fault, state = walked
        first = walk.first_fault()
        faults = [found for found in (fault, first, self._end_fault(state, walk, checkpoint)) if found]
        if known is not None and (gone := self._known_fault(known, state, checkpoint)):
            faults.append(gone)
        refused = self._call(b"LLEN", self.keys.audit_refused)
        return ChainVerdict(
            fault=min(faults, key=lambda found: found.seq, default=None),
            head=state.head,
            checkpoint=checkpoint,
            checked=walk.seq - checkpoint.first,
            refused=int(refused),
            redacted=walk.redacted,
        )

    def _walked(self, state: ChainState) -> tuple[Walk, ChainStart, Fault | None, ChainState] | None:
        """Walk to the end, also when it moves meanwhile; return `None` if records were pruned meanwhile."""
        checkpoint, fault = self._opened(state.checkpoint)
        walk = Walk(self._signer(), checkpoint.first, checkpoint.prev)
        while True:
            # A forged head that points far beyond the last record must not make this walk endless.
            last = min(state.head.seq, checkpoint.first + state.records)
            for seqs in batched(range(walk.seq, last + 1), chain.BATCH):
                for text in self._log.load_packed(seqs):
                    walk.step(text)
            newer = self._log.state()
            if newer.checkpoint != state.checkpoint:
                return None
            if newer.head == state.head:
                return walk, checkpoint, fault, newer
            state = newer

    def _opened(self, text: bytes) -> tuple[ChainStart, Fault | None]:
        if not text:
            return BEGINNING, None
        found = chain.unpack(text) or {}
        try:
            checkpoint = ChainStart(int(found["first"]), str(found["prev"]), found["at"])
            sound = self._signer().verify(_signed(found), str(found["mark"]))
        except (KeyError, TypeError, ValueError):
            return BEGINNING, Fault(1, "is behind a checkpoint that is none any more: it was changed")
        if sound:
            return checkpoint, None
        return checkpoint, Fault(
            checkpoint.first, "follows a checkpoint that was not made by us: it was changed or put in"
        )

    def _end_fault(self, state: ChainState, walk: Walk, checkpoint: ChainStart) -> Fault | None:
        """Return what is wrong behind the last record, or with what the head states of it."""
        expected = max(0, state.head.seq - checkpoint.first + 1)
        if state.records > expected or (state.records and not state.head.seq):
            return self._beyond(state, checkpoint)
        last = walk.seq - 1
        if state.head.seq > last:
            return Fault(last + 1, f"is missing: the head says that there are {state.head.seq}")
        if state.head.seq >= checkpoint.first and walk.prev and walk.prev != state.head.hash:
            return Fault(last, "is not the one that the head names: the head was changed")
        return None

    def _beyond(self, state: ChainState, checkpoint: ChainStart) -> Fault:
        numbers = self._log.stored_numbers()
        if -1 in numbers:
            return Fault(state.head.seq + 1, "is followed by a record without a number: it was inserted")
        before = [seq for seq in numbers if seq < checkpoint.first]
        if before:
            return Fault(min(before), f"should be gone: the chain begins with {checkpoint.first}; it was inserted")
        beyond = [seq for seq in numbers if seq > state.head.seq]
        where = min(beyond, default=state.head.seq + 1)
        return Fault(
            where, "stands behind the end that the head names: it was inserted, or the head was changed or removed"
        )

    def _known_fault(self, known: Head, state: ChainState, checkpoint: ChainStart) -> Fault | None:
        if known.seq == 0:
            return None
        if known.seq > state.head.seq:
            gone = max(state.head.seq, 0) + 1
            return Fault(gone, f"is missing: the chain once went to {known.seq} and was cut")
        if known.seq < checkpoint.first:
            if known.seq == checkpoint.first - 1 and known.hash != checkpoint.prev:
                return Fault(known.seq, "is another one than the head that you gave: the chain was written anew")
            return None
        (text,) = self._log.load_packed([known.seq])
        record = chain.unpack(text)
        if record is not None and record.get("hash") != known.hash:
            return Fault(
                known.seq, "is another one than the head that you gave: the chain was cut there and written anew"
            )
        return None

    def prune(self, before: float, now: float) -> int:
        """Delete records older than `before`, behind a signed checkpoint, and return their number.

        The newest record always stays.

        Raises: BrokenChain if the chain is not valid; then nothing is deleted.
        """
        verdict = self.verify()
        if verdict.fault is not None:
            raise BrokenChain(verdict)
        cut, gone = utc(int(before)), 0
        while True:
            state = self._log.state()
            checkpoint, _ = self._opened(state.checkpoint)
            seqs = range(checkpoint.first, min(checkpoint.first + chain.BATCH, state.head.seq))
            old, prev = _older(self._log.load_records(seqs), cut)
            if not old:
                return gone
            fields: dict[str, Any] = {"first": old[-1] + 1, "prev": prev, "at": utc(int(now))}
            fields["mark"] = self._signer().sign(_signed(fields))
            keys = [self.keys.audit_log, self.keys.audit_head]
            gone += len(old) * int(self._link.run(PRUNE, keys, [state.checkpoint, chain.pack(fields), *old]))


def _signed(fields: dict[str, Any]) -> bytes:
    return b"checkpoint:" + json.dumps([fields["first"], fields["prev"], fields["at"]]).encode()


def _older(records: list[dict[str, Any]], cut: str) -> tuple[list[int], str]:
    """Return the numbers of the oldest records that are older, without a gap, and the hash of the last.

    Erased ones are included.
    """
    old: list[int] = []
    prev = ""
    for record in records:
        if record["at"] is not None and record["at"] >= cut:
            break
        old.append(record["seq"])
        prev = str(record["hash"])
    return old, prev
