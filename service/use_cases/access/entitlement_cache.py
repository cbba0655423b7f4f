"""What a reader's hot record amounts to now, worked out once a record and kept until something in it changes.

The record's own bytes and the moment say all that it depends on: a record that was written anew has other bytes, and what
holds is kept no longer than until its next change by itself. So nothing here can be out of date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.adapters.redis.readers.readers import HoldingsCache, field_pairs, merged_into, merged_marks
from service.domain.catalogue import Catalogue
from service.domain.decision import FOREVER, NO_ENTITLEMENTS, Entitlements, resolve_entitlements

MOST_RECORDS = 20_000
"""Records kept; with one more, all are dropped."""

Held = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """What a record says: the reader that this one was merged into, or what is held from `since` until `turns_at`."""

    alias: str | None
    entitlements: Entitlements
    held: Held
    since: float
    turns_at: float
    heir_of: tuple[bytes, ...] = ()
    """Marks of the readers that were merged into this one; visitors that had joined them count for it."""


NOBODY = Holder(None, NO_ENTITLEMENTS, (), 0.0, FOREVER)


class Holders:
    """Holders under one catalogue, by the bytes of their records. Thread-safe: entries are only ever replaced."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._features = tuple(catalogue.features)
        self._holdings = HoldingsCache(catalogue)
        self._known: dict[tuple[bytes, ...], Holder] = {}

    def of(self, reply: Any, now: float) -> Holder:
        """The holder of an HGETALL reply of a hot record."""
        if not reply:
            return NOBODY
        record = (
            tuple(reply) if reply.__class__ is list else tuple(part for pair in field_pairs(reply) for part in pair)
        )
        known = self._known.get(record)
        if known is not None and known.since <= now < known.turns_at:
            return known
        return self._work_out(record, now)

    def _work_out(self, record: tuple[bytes, ...], now: float) -> Holder:
        entitlements = resolve_entitlements(self._holdings.holdings(record), self._features, now)
        held = tuple((name, holding.until) for name, holding in entitlements.by_feature.items())
        turns_at = FOREVER if entitlements.changes_at is None else entitlements.changes_at
        holder = Holder(merged_into(record), entitlements, held, now, turns_at, merged_marks(record))
        if len(self._known) >= MOST_RECORDS:
            self._known.clear()
        self._known[record] = holder
        return holder
