"""The history of a reader's sources: the Stripe events and admin changes behind what they held at a moment, for staff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import ReaderChange
from service.adapters.redis.service_state.decision_records import RecordedPolicy
from service.domain.catalogue import Catalogue
from service.domain.decision import DecisionStep

MAX_CHANGES = 20
"""Changes in an explanation; a reader has a few a year."""

SOURCE_TYPES = {"p": "pass", "g": "grant", "e": "stripe_entitlement", **source_codec.ROLES}
"""A record's letter → the source's type."""


class SourceHistory:
    """Explains what changed a reader's sources."""

    def __init__(self, catalogue: Catalogue, past: ReaderHistory, log: AuditLog) -> None:
        self._catalogue = catalogue
        self._past = past
        self._log = log

    def steps(
        self, reader: str | None, at: float, policy: RecordedPolicy | None = None, *, as_then: bool = False
    ) -> list[DecisionStep]:
        """Return a step `history` with the newest changes until `at`, oldest first; an empty list if there are none.

        The plans are those of `policy`, else those of the policy in force. `as_then` leaves out what other readers held
        who were merged with this one later.

        Raises:
            StoreUnavailable: The store cannot be reached.
        """
        if reader is None:
            return []
        changes = [c for c in self._past.changes(reader, at if as_then else None) if c.moment <= at]
        if not changes:
            return []
        newest = changes[-MAX_CHANGES:]
        ids = [change.cause.partition(":")[2] for change in newest if change.cause.startswith("audit:")]
        records = self._log.find_by_entry(ids)
        catalogue = policy.over(self._catalogue) if policy is not None else self._catalogue
        values = {"changes": [self._describe(change, records, catalogue) for change in newest]}
        left_out = f", the newest {MAX_CHANGES} shown" if len(changes) > MAX_CHANGES else ""
        many = f"{len(changes)} change{'s' if len(changes) != 1 else ''} of sources"
        return [DecisionStep("history", values, f"{many}{left_out}")]

    def _describe(
        self, change: ReaderChange, records: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
    ) -> dict[str, Any]:
        letter, _, name = change.field.decode().partition(":")
        source = source_codec.decode(change.field, change.record) if change.record is not None else None
        holdings = source.holdings(catalogue) if source is not None else ()
        first = holdings[0] if holdings else None
        return {
            "at": change.at,
            "source": f"{SOURCE_TYPES.get(letter, letter)}:{name}",
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
