"""Admin changes with their audit entries, and the way of entries into the audit chain.

The script that changes a reader also writes the audit entry to the outbox in the reader's slot (`lua/write_source.lua`).
Before the change, the writer adds its intent to a list of outboxes, so that after a crash another process finds the entry.
Moving entries from an outbox to the chain is safe to repeat, because the chain knows the IDs of the entries in it. Entries
in outboxes are signed: otherwise anyone who can write to the store could get this service to sign an entry of theirs.

Changes that belong to no reader, such as run-time keys and approvals, use the outbox of `keys.ADMIN` (`AuditedHash`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, cast

from service.adapters.crypto import Signer
from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import ADMIN, reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords
from service.domain.errors import StoreUnavailable
from service.domain.times import utc

APPEND = load("append_audit_records")

IDS_KEPT = 100_000
"""The newest entry IDs that are kept to detect a repeat, which comes seconds later or after an outage."""
REFUSED_KEPT = 1_000
INTENT_LASTS = 60
"""Seconds after which an intent counts as left by a process that has crashed."""
_MOST_OWN = 1_000
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes an admin change: the key's name (or `cli:<user>`), and the address of the connection if there is one.

    `makers` names the actor that created the key, the one that created that actor's key, and so on; `None` in it stands
    for makers that are unknown.
    """

    name: str
    from_ip: str | None = None
    makers: tuple[str | None, ...] = ()


def audit_entry(
    actor: Actor,
    action: str,
    *,
    now: float,
    reader: str | None = None,
    target: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return an audit entry that is not in the chain yet; its `id` makes moving it safe to repeat."""
    return {
        "id": secrets.token_hex(12),
        "at": utc(int(now)),
        "actor": actor.name,
        "from_ip": actor.from_ip,
        "action": action,
        "reader": reader,
        "target": target,
        "before": before,
        "after": after,
        "reason": reason,
    }


def _tag_of(intent: bytes) -> bytes:
    """Return the outbox tag of an intent; a tag such as `s:7` contains a colon itself."""
    return intent.rsplit(b":", 2)[0]


def _made_at(intent: bytes) -> int:
    moment = intent.rpartition(b":")[2]
    return int(moment) if moment.isdigit() else 0


class _OwnIntents(threading.local):
    """The intents that this thread has announced and not yet withdrawn, by tag."""

    def __init__(self) -> None:
        self.by_tag = defaultdict[bytes, list[bytes]](list)


class AuditWriter(StoreRecords):
    """Appends audit entries to the chain. Raises: StoreUnavailable from every method, unless it says otherwise."""

    def __init__(
        self,
        store: Store,
        signer: Callable[[], Signer],
        log: AuditLog,
        *,
        on_refused: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store)
        self._signer = signer
        self._log = log
        self._on_refused = on_refused
        self._clock = clock
        self._own = _OwnIntents()

    def sign_entry(self, written: dict[str, Any]) -> bytes:
        """Return an entry as stored in an outbox: its signature, a space, the entry."""
        text = chain.pack(written)
        return self._signer().sign(b"outbox:" + text).encode() + b" " + text

    def _opened(self, packed: bytes) -> dict[str, Any] | None:
        mark, _, text = packed.partition(b" ")
        ours = self._signer().verify(b"outbox:" + text, mark.decode("latin-1"))
        return chain.unpack(text) if ours else None

    @contextmanager
    def recording(self, tag: bytes, written: dict[str, Any]) -> Iterator[bytes]:
        """Yield an entry as stored in the outbox of this tag, which the change within the block has to write there."""
        self.announce_at(tag)
        yield self.sign_entry(written)
        self.flush_quietly(tag)

    def announce_at(self, tag: bytes) -> None:
        """Announce a change in the slot of this tag before it is made, so that its audit entry cannot be missed.

        Each intent has a name of its own. Only its thread withdraws it, after the change, or any process a minute later.
        Without names, a process that empties the outbox between announcement and change would remove the intent.
        """
        intent = b"%b:%b:%d" % (tag, secrets.token_hex(6).encode(), int(self._clock()))
        # Failed changes leave their intents here; in the store they expire after a minute.
        if len(self._own.by_tag) >= _MOST_OWN:
            self._own.by_tag.clear()
        self._own.by_tag[tag].append(intent)
        self._call(b"SADD", self.keys.audit_intents, intent)

    def flush_quietly(self, tag: bytes) -> None:
        """Move the entries of one outbox to the chain after a change.

        It raises nothing: if the store is unavailable or the chain is damaged, the entry of the change stays in its outbox,
        and the worker moves it later.
        """
        with suppress(StoreError, StoreUnavailable):  # A key of the chain can be of another type; `verify` reports it.
            self.flush_outbox(tag)

    def flush_all(self) -> int:
        """Move all entries that are still in outboxes to the chain, and return their number.

        Where the chain is damaged, they stay in their outboxes, and so do the intents that lead to them.
        """
        intents = self.keys.audit_intents
        found = self._call(b"SMEMBERS", intents)
        moved, left = 0, set()
        for tag in {ADMIN, *(_tag_of(intent) for intent in found)}:
            try:
                moved += self._move(tag)
            except StoreError:  # A key of the chain can be of another type; `verify` reports it.
                left.add(tag)
        old = self._clock() - INTENT_LASTS
        over = [intent for intent in found if _made_at(intent) < old and _tag_of(intent) not in left]
        if over:
            self._call(b"SREM", intents, *over)
        return moved

    def count_waiting(self) -> int:
        """Return how many entries are in outboxes and not in the chain yet."""
        found = self._call(b"SMEMBERS", self.keys.audit_intents)
        outboxes = [self.keys.outbox(tag) for tag in {ADMIN, *(_tag_of(intent) for intent in found)}]
        return sum(self._read_each(b"LLEN", outboxes))

    def flush_outbox(self, tag: bytes) -> int:
        """Move the entries of one outbox to the chain, withdraw this thread's intents, and return the number of entries."""
        moved = self._move(tag)
        if own := self._own.by_tag.pop(tag, None):
            self._call(b"SREM", self.keys.audit_intents, *own)
        return moved

    def _move(self, tag: bytes) -> int:
        outbox = self.keys.outbox(tag)
        moved = 0
        while waiting := cast("list[bytes]", self._call(b"LRANGE", outbox, 0, _BATCH - 1)):
            opened = [self._opened(packed) for packed in waiting]
            self._refuse([packed for packed, found in zip(waiting, opened, strict=True) if found is None])
            moved += self.append([found for found in opened if found is not None])
            # By value, not by position: another process can move the same entries.
            self._link.pipeline([(outbox, (b"LREM", outbox, 1, packed)) for packed in waiting])
        return moved

    def _refuse(self, found: Sequence[bytes]) -> None:
        if not found:
            return
        key = self.keys.audit_refused
        self._call(b"RPUSH", key, *found)
        self._call(b"LTRIM", key, -REFUSED_KEPT, -1)
        self._on_refused(len(found))

    def readmit_refused(self) -> int:
        """Append refused entries that are ours, and return their number.

        The process that refused them lacked a secret, or was of a release with other keys, during an upgrade.
        """
        key = self.keys.audit_refused
        refused: list[bytes] = self._call(b"LRANGE", key, 0, -1)
        opened = {packed: found for packed in refused if (found := self._opened(packed)) is not None}
        if opened:
            self.append(list(opened.values()))
            self._link.pipeline([(key, (b"LREM", key, 1, packed)) for packed in opened])
        return len(opened)

    def append(self, entries: Sequence[dict[str, Any]]) -> int:
        """Append the entries that are not in the chain yet, in this order, and return their number."""
        left, appended = self._unseen(entries), 0
        while left:
            verdict = self._append(left)
            if verdict == 1:
                appended = len(left)
                self._call(b"ZREMRANGEBYRANK", self.keys.audit_seen, 0, -IDS_KEPT - 1)
                break
            left = self._unseen(left)
        self._index(entries)
        return appended

    def _append(self, entries: Sequence[dict[str, Any]]) -> int:
        """Try to append once, and return the verdict of the script."""
        keys = [self.keys.audit_log, self.keys.audit_head, self.keys.audit_seen]
        state = self._log.state()
        end = state.head
        for _ in range(2):
            records = chain.link_records(entries, end, self._signer())
            packed = [part for record in records for part in (record["id"], chain.pack(record))]
            verdict = cast(int, self._link.run(APPEND, keys, [state.seq, end.seq, records[-1]["hash"], *packed]))
            if verdict != -2:
                break
            # The head was tampered with. Writing where it points would destroy the proof.
            end = self._log.newest_head()
        return verdict

    def _unseen(self, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        seqs = self._log.numbers_of_entries(written["id"] for written in entries)
        return [written for written, seq in zip(entries, seqs, strict=True) if seq is None]

    def _index(self, entries: Sequence[dict[str, Any]]) -> None:
        """Record with each reader which records are about them; before an entry leaves its outbox, so that none is missed."""
        named = [written for written in entries if written.get("reader") is not None]
        seqs = self._log.numbers_of_entries(written["id"] for written in named)
        commands: list[tuple[bytes, tuple[bytes | int | str, ...]]] = []
        for written, seq in zip(named, seqs, strict=True):
            readers = {written["reader"]} | ({written["target"]} if written["action"] == "merge" else set())
            keys = [self.keys.audited(reader_hash(reader)) for reader in readers if reader]
            commands += [(key, (b"ZADD", key, seq, str(seq))) for key in keys if seq is not None]
        self._link.pipeline(commands)


REPLACE_FIELD = load("replace_field")


class AuditedHash(StoreRecords):
    """A hash that exists once, whose fields change together with an audit entry: run-time keys and approvals.

    It lies in one slot with the admins' outbox, so no change lacks its entry and no entry its change. Of two concurrent changes
    of one field, the second is refused. Raises: StoreUnavailable from every method.
    """

    def __init__(self, store: Store, audit: AuditWriter, name: str) -> None:
        super().__init__(store)
        self._key = store.keys.admin(name)
        self._outbox = store.keys.outbox(ADMIN)
        self._audit = audit

    def load_all(self) -> dict[str, bytes]:
        reply = self._call(b"HGETALL", self._key)
        return {field.decode(): value for field, value in field_pairs(reply)}

    def load(self, field: str) -> bytes | None:
        found: bytes | None = self._call(b"HGET", self._key, field)
        return found

    def replace_field(
        self, field: str, seen: bytes | None, value: bytes | None, written: dict[str, Any] | None
    ) -> bool:
        """Replace the value `seen` (`None`: none) by `value` (`None`: delete the field), with an audit entry.

        Returns `False` if the field is no longer what was seen.
        """
        with self._audit.recording(ADMIN, written) if written is not None else nullcontext(b"") as entry:
            return bool(
                self._link.run(REPLACE_FIELD, [self._key, self._outbox], [field, seen or b"", value or b"", entry])
            )
