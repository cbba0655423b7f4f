"""Erasing a reader from the audit log: their ID goes, everything else stays, and a new record states the erasure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from service.adapters.batches import batched
from service.adapters.crypto import Signer
from service.adapters.redis.audit import chain
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.id_mentions import REPLACEMENT, name_pattern
from service.adapters.redis.records import StoreRecords

REPLACE = load("redact_audit_records")

_Change = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Record → its fields that hold the reader's ID, without it."""


class AuditErasure(StoreRecords):
    """Erases readers from the log. Raises: StoreUnavailable from every method; a call can be repeated after a failure."""

    def __init__(self, store: Store, audit: AuditWriter, log: AuditLog, signer: Callable[[], Signer]) -> None:
        super().__init__(store)
        self._audit = audit
        self._log = log
        self._signer = signer

    def erase(
        self,
        names: Sequence[str],
        counts: Mapping[str, int],
        reason: str | None,
        actor: Actor,
        now: float,
        *,
        is_known: bool = True,
    ) -> int:
        """Remove a reader's names from the fields that hold them and from the words of reasons; return the number of records.

        A name that was never a reader's (`is_known` is false, and no record is about it) can be any word, so it stays in
        reasons. The record of the erasure comes first, so that a crash leaves no changed record without its proof; a repeat
        changes the rest. `counts` go into that record: what was erased elsewhere.
        """
        self._audit.flush_all()
        in_words = name_pattern(names)
        change = partial(_without_names, tuple(names), in_words)
        own, others = self._naming(change)
        seqs = sorted(own + others) if own or is_known else []
        after = {**counts, "redacted": chain.ranges(seqs)}
        reason = in_words.sub(REPLACEMENT, reason) if reason else reason
        written = audit_entry(actor, chain.ERASE_ACTION, now=now, after=after, reason=reason)
        self._audit.append([written])
        for batch in batched(seqs, chain.BATCH):
            self._redact(batch, change, written["id"])
        for name in names:
            self._call(b"DEL", self.keys.audited(reader_hash(name)))
        return len(seqs)

    def _redact(self, seqs: Sequence[int], change: _Change, erasure: str) -> None:
        """Redact these records; read those again that another erasure changes at the same moment."""
        signer = self._signer()
        while seqs:
            arguments: list[bytes | int | str] = []
            for seq, text in zip(seqs, self._log.load_packed(seqs), strict=True):
                record = chain.unpack(text)
                if record is not None and text is not None and (without := change(record)):
                    arguments += [seq, text, chain.pack(_redacted_record(record, without, erasure, signer))]
            seqs = self._link.run(REPLACE, [self.keys.audit_log], arguments)

    def _naming(self, change: _Change) -> tuple[list[int], list[int]]:
        """Return the numbers of the records about the reader, and of those that only mention them in the reason.

        The whole log is read, so that none is missed.
        """
        own, others = list[int](), list[int]()
        for seqs in batched(range(1, self._log.state().head.seq + 1), chain.BATCH):
            for seq, text in zip(seqs, self._log.load_packed(seqs), strict=True):
                if (record := chain.unpack(text)) and (without := change(record)):
                    (others if set(without) == {"reason"} else own).append(seq)
        return own, others


def _without_names(names: Sequence[str], in_words: re.Pattern[str], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that name the reader, without the name: `reader`, `target` of a merge, `before`, `after`, `reason`.

    No other field is searched: the reader `30` is not in every time, and the reader `vip` not in every grant of that plan.
    """
    changed: dict[str, Any] = {}
    if record.get("reader") in names:
        changed["reader"] = None
    if record.get("action") == "merge" and record.get("target") in names:
        changed["target"] = None
    for side in ("before", "after"):
        value = record.get(side)
        if isinstance(value, dict) and (gone := [name for name in ("reader", "from") if value.get(name) in names]):
            changed[side] = {**value, **dict.fromkeys(gone)}
    reason = record.get("reason")
    if isinstance(reason, str) and (cleaned := in_words.sub(REPLACEMENT, reason)) != reason:
        changed["reason"] = cleaned
    return changed


def _redacted_record(record: dict[str, Any], without: dict[str, Any], erasure: str, signer: Signer) -> dict[str, Any]:
    """Return a record with the fields `without` in place of its own, as the erasure with this entry ID leaves it.

    A record that was tampered with gets no valid mark: an erasure does not hide the fault.
    """
    left = {**record, **without}
    if chain.is_as_signed(record, signer):
        left["erasure"] = erasure
        left["erasure_mark"] = signer.sign(chain.redaction_input(left))
    return left
