"""The audit chain's arithmetic: what a record's digest and hash are made from, and walking a chain to its first fault.

A record as it is kept: `{"seq", "id", "at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason",
"digest", "prev", "hash"}`. `digest` is an HMAC of the entry's id and of what it says, `hash` one of `seq`, `prev` and
`digest`. So what an entry says can be erased (its id and every field of `SAYS` null) and the chain still holds; that it was
erased, and not merely emptied, a later record says: a `reader.erase` whose `after.audit` lists the erased seqs as ranges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.adapters.crypto import Signer

START = "0" * 64
"""`prev` of the first record ever."""

SAYS = ("at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason")
"""What an entry says; `digest` is made from these and the entry's id."""

SHOWN = ("seq", *SAYS, "digest", "prev", "hash")
"""A record as the contract shows it."""

KEPT = ("seq", "id", *SAYS, "digest", "prev", "hash")
"""A record as it is kept, in this order."""

ERASE = "reader.erase"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the newest record's number, which is also the count of all ever made, and its hash."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


def parse_head(text: str) -> Head:
    """`SEQ:HASH`, as every export and every listing prints it. `ValueError` with a sentence."""
    seq, _, mark = text.strip().partition(":")
    if not (
        seq.isascii() and seq.isdigit() and len(seq) < 16 and len(mark) == 64 and set(mark) <= set("0123456789abcdef")
    ):
        raise ValueError("must be SEQ:HASH, the number and the 64 hex digits that an export or a listing printed")
    return Head(int(seq), mark)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is not as it was made. `seq` may be one past the end: something there was cut off."""

    seq: int
    why: str


def canonical(record: dict[str, Any]) -> bytes:
    """What `digest` is made from: id and saying fields, in one order, in one spelling."""
    values = [record.get(name) for name in ("id", *SAYS)]
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def chained(seq: int, prev: str, digest: str) -> bytes:
    """What `hash` is made from."""
    return f"{seq}:{prev}:{digest}".encode()


def pack(value: dict[str, Any]) -> bytes:
    """An entry or a record as it is kept."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def unpack(text: bytes | None) -> dict[str, Any] | None:
    """A record of the store; `None` for what is missing or is none, also for half a character, which cannot be shown."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        if b"\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def link(entries: Iterable[dict[str, Any]], head: Head, signer: Signer) -> list[dict[str, Any]]:
    """The records that these entries become behind `head`."""
    records, seq, prev = [], head.seq, head.hash
    for written in entries:
        seq += 1
        record: dict[str, Any] = {"seq": seq, "id": written["id"], **{name: written.get(name) for name in SAYS}}
        record["digest"] = signer.mark(canonical(record))
        record["prev"] = prev
        record["hash"] = prev = signer.mark(chained(seq, prev, record["digest"]))
        records.append(record)
    return records


def blanked(record: dict[str, Any]) -> dict[str, Any]:
    """The record with what it said erased."""
    return {**record, **dict.fromkeys(("id", *SAYS))}


def is_blank(record: dict[str, Any]) -> bool:
    return all(record.get(name) is None for name in ("id", *SAYS))


def shown(seq: int, record: dict[str, Any] | None) -> dict[str, Any]:
    """A record as the contract shows it; one that cannot be read shows its number alone, and `verify` says why."""
    return {name: (record or {}).get(name) for name in SHOWN} | {"seq": seq}


def ranges(seqs: Iterable[int]) -> list[list[int]]:
    """Numbers as pairs of first and last: `[[3, 3], [7, 9]]`."""
    found: list[list[int]] = []
    for seq in sorted(set(seqs)):
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


@dataclass
class Walk:
    """A walk along a chain, record by record. It goes on behind the first fault, for what later records prove."""

    signer: Signer
    seq: int
    """Of the record that comes next."""
    prev: str
    faults: list[Fault] = field(default_factory=list)
    _blank: list[int] = field(default_factory=list)
    _erased: list[tuple[int, int]] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)

    def step(self, text: bytes | None) -> None:
        """The next record, as the store has it."""
        seq = self.seq
        record = unpack(text)
        why = self._wrong(seq, record, missing=text is None)
        if why is None and record is not None and pack({name: record.get(name) for name in KEPT}) != text:
            why = "was changed: it holds what no record of ours holds, or is spelled in another way"
        if why:
            self.faults.append(Fault(seq, why))
        self.seq += 1

    def first_fault(self) -> Fault | None:
        """The first record at fault, of all walked."""
        unproven = [seq for seq in self._blank if not any(first <= seq <= last for first, last in self._erased)]
        faults = [*self.faults[:1], *(Fault(seq, _EMPTIED) for seq in unproven[:1])]
        return min(faults, key=lambda fault: fault.seq, default=None)

    def _wrong(self, seq: int, record: dict[str, Any] | None, *, missing: bool) -> str | None:
        if record is None:
            self.prev = ""
            return "is missing: it was dropped or cut off" if missing else "is no record any more: it was changed"
        digest, mark, prev = (str(record.get(name)) for name in ("digest", "hash", "prev"))
        expected, self.prev = self.prev, mark
        if record.get("seq") != seq or type(record["seq"]) is not int:  # 2.0 and true are equal to numbers, too.
            return f"stands where it does not belong: it says that it is record {record.get('seq')}"
        if not self.signer.made(chained(seq, prev, digest), mark):
            return "was changed, moved or put in: its hash was not made by us (with a secret in PAYWALL_SECRETS)"
        if expected and prev != expected:
            return "does not follow the record before it: something was dropped or put in there"
        if is_blank(record):
            self._blank.append(seq)
            return None
        if not self.signer.made(canonical(record), digest):
            return "was changed: what it says is not what was signed"
        self._prove(record)
        return self._again(seq, str(record.get("id")))

    def _prove(self, record: dict[str, Any]) -> None:
        if record["action"] == ERASE:
            self._erased += [(first, last) for first, last in (record["after"] or {}).get("audit", [])]

    def _again(self, seq: int, entry_id: str) -> str | None:
        before = self._ids.setdefault(entry_id, seq)
        return None if before == seq else f"tells again what record {before} tells: it was put in"


_EMPTIED = "was emptied, and no later record says that its reader was erased"


def chunks(first: int, last: int, size: int = 500) -> Iterable[Sequence[int]]:
    """The numbers from `first` to `last`, some at a time."""
    for start in range(first, last + 1, size):
        yield range(start, min(start + size, last + 1))
