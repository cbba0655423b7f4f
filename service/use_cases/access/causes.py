"""What led there: the Stripe events and admin changes behind what a reader held at a moment, for staff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import ReaderChange
from service.adapters.redis.service_state.decision_records import RecordedPolicy
from service.domain.catalogue import Catalogue
from service.domain.decision import Step

MOST = 20
"""Changes told; a reader has a few a year."""

TYPES = {"p": "pass", "g": "grant", "e": "stripe_entitlement", **source_codec.ROLES}
"""A record's letter → the source's type."""


class Traces:
    """Tells readers' traces."""

    def __init__(self, catalogue: Catalogue, past: ReaderHistory, log: AuditLog) -> None:
        self._catalogue = catalogue
        self._past = past
        self._log = log

    def steps(
        self, reader: str | None, at: float, policy: RecordedPolicy | None = None, *, as_then: bool = False
    ) -> list[Step]:
        """A step `history` with the newest changes until then, oldest first; none for who never held anything.

        Told by that policy, else by the one in force. `as_then`: without what others held who were merged with this reader
        since. `StoreUnavailable` where the store is away.
        """
        if reader is None:
            return []
        changes = [c for c in self._past.changes(reader, at if as_then else None) if c.moment <= at]
        if not changes:
            return []
        told = changes[-MOST:]
        ids = [change.cause.partition(":")[2] for change in told if change.cause.startswith("audit:")]
        records = self._log.find_by_entry(ids)
        catalogue = policy.over(self._catalogue) if policy is not None else self._catalogue
        values = {"changes": [self._told(change, records, catalogue) for change in told]}
        left = f", the newest {MOST} told" if len(changes) > MOST else ""
        many = f"{len(changes)} change{'s' if len(changes) != 1 else ''} of sources"
        return [{"step": "history", "values": values, "verdict": f"{many}{left}"}]

    def _told(
        self, change: ReaderChange, records: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
    ) -> dict[str, Any]:
        letter, _, name = change.field.decode().partition(":")
        source = source_codec.decode(change.field, change.record) if change.record is not None else None
        holdings = source.holdings(catalogue) if source is not None else ()
        first = holdings[0] if holdings else None
        return {
            "at": change.at,
            "source": f"{TYPES.get(letter, letter)}:{name}",
            "plans": [holding.plan for holding in holdings if holding.plan],
            "status": first.status_at(change.at) if first else "went to another reader",
            "until": first.until if first else None,
            **self._cause(change.cause, records),
        }

    @staticmethod
    def _cause(cause: str, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        kind, _, name = cause.partition(":")
        if kind != "audit":
            return {kind: name}
        record = records.get(name)
        if record is None or record["at"] is None:
            return {"audit": None}
        return {"audit": {part: record[part] for part in ("seq", "actor", "action", "reason")}}
