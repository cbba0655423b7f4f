"""Erasing a reader from the audit log: the content of records goes, the records stay, and a new record states the erasure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.id_mentions import REPLACEMENT, name_pattern

BLANK = load("erase_audit_content")
_BATCH = 500


class AuditErasure:
    """Erases readers from the log. Raises: StoreUnavailable from every method; a call can be repeated after a failure."""

    def __init__(self, store: Store, audit: AuditWriter, log: AuditLog) -> None:
        self._link = store.link
        self._keys = store.keys
        self._audit = audit
        self._log = log

    def erase(
        self, names: Sequence[str], counts: Mapping[str, int], reason: str | None, actor: Actor, now: float
    ) -> int:
        """Erase what the log holds of a reader under each of these names, and return the number of records that were
        emptied.

        The record of the erasure comes first, so that a crash leaves no emptied record without its proof; a repeat
        empties the rest. `counts` go into that record: what was erased elsewhere.
        """
        self._audit.flush_all()
        seqs = list(self._naming(names))
        after = {**counts, "audit": chain.ranges(seqs)}
        said = name_pattern(names).sub(REPLACEMENT, reason) if reason else reason
        written = audit_entry(
            actor, chain.ERASE_ACTION, now=now, reader=None, target=None, before=None, after=after, reason=said
        )
        self._audit.append([written])
        for start in range(0, len(seqs), _BATCH):
            self._blank(seqs[start : start + _BATCH])
        for name in names:
            key = self._keys.audited(reader_hash(name))
            self._link.call(key, b"DEL", key)
        return len(seqs)

    def _blank(self, seqs: Sequence[int]) -> None:
        arguments: list[bytes | int | str] = []
        for seq, text in zip(seqs, self._log.load_packed(seqs), strict=True):
            if record := chain.unpack(text):
                arguments += [seq, chain.pack(chain.erase_content(record))]
        self._link.run(BLANK, [self._keys.audit_log], arguments)

    def _naming(self, names: Sequence[str]) -> Iterator[int]:
        """Yield the numbers of records with one of the names; the whole log is read, so that none is missed."""
        found = partial(_names_one, tuple(names), name_pattern(names))
        for seqs in chain.chunks(1, self._log.state().head.seq):
            for seq, text in zip(seqs, self._log.load_packed(seqs), strict=True):
                if (record := chain.unpack(text)) and found(record):
                    yield seq


def _names_one(names: Sequence[str], in_words: re.Pattern[str], record: Mapping[str, Any]) -> bool:
    """Return whether a record names the reader: in `reader`, `target` of a merge, `before` or `after`, or the reason.

    No other field is searched: the reader `30` is not in every time, and the reader `vip` not in every grant of that plan.
    """
    said = [record.get("reader")]
    if record.get("action") == "merge":
        said.append(record.get("target"))
    for side in (record.get("before"), record.get("after")):
        if isinstance(side, dict):
            said += [side.get("reader"), side.get("from")]
    return any(name in names for name in said) or in_words.search(str(record.get("reason") or "")) is not None
