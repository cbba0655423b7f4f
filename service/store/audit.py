"""The audit log: every admin change, in a chain that nobody can mend unseen.

An entry is written to the reader's outbox by the very script that makes the change (`lua/put_source.lua`), and moved from
there to the chain. Before the change the reader is put on a list of outboxes to look into, so that whoever comes after a
crash finds what was left. Moving is safe to repeat: the chain knows the ids that it holds.

A record in the chain: `{"seq", "at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason",
"digest", "prev", "hash"}`. `digest` is an HMAC of what the entry says, `hash` one of `seq`, `prev` and `digest`; so what an
entry says can be erased without breaking the chain.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from service.sealing import Signer
from service.store.keys import Keys, reader_hash
from service.store.link import Link
from service.store.scripts import load

APPEND = load("append_audit")
START = "0" * 64
"""`prev` of the first record."""

SEEN_FOR = 7 * 86_400
"""Seconds for which an entry's id is remembered; a repeat comes seconds later, or after an outage."""

SAYS = ("at", "actor", "from_ip", "action", "reader", "target", "before", "after", "reason")
"""The fields that `digest` is made from."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for an admin change: the key's name (or `cli:<user>`), and the connection's address if there is one."""

    name: str
    from_ip: str | None = None


def entry(
    actor: Actor,
    action: str,
    *,
    now: float,
    reader: str | None,
    target: str | None,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    reason: str | None,
) -> dict[str, Any]:
    """An audit entry before it is in the chain; `id` makes moving it safe to repeat."""
    return {
        "id": secrets.token_hex(12),
        "at": datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "actor": actor.name,
        "from_ip": actor.from_ip,
        "action": action,
        "reader": reader,
        "target": target,
        "before": before,
        "after": after,
        "reason": reason,
    }


def pack(written: dict[str, Any]) -> bytes:
    """An entry as it lies in an outbox."""
    return json.dumps(written, separators=(",", ":"), ensure_ascii=False).encode()


def canonical(record: dict[str, Any]) -> bytes:
    """What `digest` is made from: the saying fields, in one order, in one spelling."""
    return json.dumps([record.get(name) for name in SAYS], separators=(",", ":"), sort_keys=True).encode()


def chained(seq: int, prev: str, digest: str) -> bytes:
    """What `hash` is made from."""
    return f"{seq}:{prev}:{digest}".encode()


class Audit:
    """The chain, and the way of entries into it. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(self, link: Link, keys: Keys, signer: Callable[[], Signer]) -> None:
        self._link = link
        self._keys = keys
        self._signer = signer

    def intend(self, reader: str) -> None:
        """Puts a reader on the list of outboxes to look into; before the change, so that no entry can be missed."""
        self._link.call(self._keys.audit_intents, b"SADD", self._keys.audit_intents, reader_hash(reader))

    def settle(self, reader: str, now: float) -> int:
        """Moves a reader's entries to the chain. Gives how many."""
        return self._settle(reader_hash(reader), now)

    def settle_all(self, now: float) -> int:
        """Moves whatever entries were left behind."""
        tags = cast("list[bytes]", self._link.call(self._keys.audit_intents, b"SMEMBERS", self._keys.audit_intents))
        return sum(self._settle(tag, now) for tag in tags)

    def _settle(self, tag: bytes, now: float) -> int:
        outbox = self._keys.outbox(tag)
        moved = 0
        while waiting := cast("list[bytes]", self._link.call(outbox, b"LRANGE", outbox, 0, 99)):
            moved += self.append([json.loads(text) for text in waiting], now)
            for text in waiting:
                # By value, not by place: another process may be moving the same entries.
                self._link.call(outbox, b"LREM", outbox, 1, text)
        self._link.call(self._keys.audit_intents, b"SREM", self._keys.audit_intents, tag)
        # An entry may have come between the last look and the removal; its reader goes back on the list.
        if self._link.call(outbox, b"LLEN", outbox):
            self._link.call(self._keys.audit_intents, b"SADD", self._keys.audit_intents, tag)
        return moved

    def append(self, entries: Sequence[dict[str, Any]], now: float) -> int:
        """Appends entries that are not in the chain yet, in this order. Gives how many."""
        left = list(entries)
        while left:
            left = self._unseen(left)
            if not left:
                return 0
            head = self._link.call(self._keys.audit_head, b"HMGET", self._keys.audit_head, b"seq", b"hash")
            seq, prev = int(head[0] or 0), (head[1] or START.encode()).decode()
            records = self._chain(left, seq, prev)
            arguments: list[bytes | int | str] = [seq, int(now), records[-1]["hash"]]
            for written, record in zip(left, records, strict=True):
                arguments += [written["id"], pack(record)]
            keys = [self._keys.audit_log, self._keys.audit_head, self._keys.audit_seen]
            verdict, _ = cast("tuple[int, int]", self._link.run(APPEND, keys, arguments))
            if verdict == 1:
                seen = self._keys.audit_seen
                self._link.call(seen, b"ZREMRANGEBYSCORE", seen, b"-inf", int(now) - SEEN_FOR)
                return len(left)
        return 0

    def _unseen(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seen = self._keys.audit_seen
        scores = self._link.read([(seen, (b"ZSCORE", seen, written["id"].encode())) for written in entries])
        return [written for written, score in zip(entries, scores, strict=True) if score is None]

    def _chain(self, entries: list[dict[str, Any]], seq: int, prev: str) -> list[dict[str, Any]]:
        signer, records = self._signer(), []
        for written in entries:
            seq += 1
            record: dict[str, Any] = {"seq": seq, **{name: written.get(name) for name in SAYS}}
            record["digest"] = signer.mark(canonical(record))
            record["prev"] = prev
            record["hash"] = prev = signer.mark(chained(seq, prev, record["digest"]))
            records.append(record)
        return records
