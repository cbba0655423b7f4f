"""The history of a reader, for staff: what changed their sources, and what admins did.

`SourceHistory` explains what a reader held at a moment. `load_activity` lists all that happened, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.adapters.batches import batched
from service.adapters.redis.audit.chain import AuditFilter, AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import ReaderChange, Readers
from service.adapters.redis.service_state.decision_records import RecordedPolicy
from service.domain.catalogue import Catalogue
from service.domain.decision import DecisionStep
from service.domain.sources import Holding, Standing

MAX_CHANGES = 20
"""Changes in an explanation; a reader has a few a year."""

SOURCE_TYPES = {"p": "pass", "g": "grant", "e": "stripe_entitlement", "x": "external", **source_codec.ROLES}
"""A record's letter → the source's type."""

RECORDS_READ = 200
"""Audit records that the newest activity reads."""
_BATCH = 500


def source_type(change: ReaderChange) -> tuple[str, str]:
    """Return the type and the ID of the source that changed."""
    letter, _, name = change.field.decode().partition(":")
    return SOURCE_TYPES.get(letter, letter), name


def _holdings(change: ReaderChange, catalogue: Catalogue) -> Sequence[Holding]:
    """Return what the source gave after a change; nothing if it went to another reader."""
    source = source_codec.decode(change.field, change.record) if change.record is not None else None
    return source.holdings(catalogue) if source is not None else ()


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
        who were merged with this one later. Raises: StoreUnavailable.
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
        holdings = _holdings(change, catalogue)
        first = holdings[0] if holdings else None
        return {
            "at": change.at,
            "source": ":".join(source_type(change)),
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


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened at `at` (epoch seconds): a change of the source `target`, or an `action` of staff on it.

    A change has the source's type and its status after it; its cause is an `actor` of the staff, or a Stripe `event`.
    """

    at: float
    target: str | None
    source: str | None = None
    action: str | None = None
    plans: Sequence[str] = ()
    status: str | None = None
    standing: Standing | None = None
    """`None` if the source now belongs to another reader."""
    before: str | None = None
    """The previous status, if it changed."""
    until: int | None = None
    was_until: int | None = None
    """The previous expiry, if only the expiry changed."""
    actor: str | None = None
    reason: str | None = None
    event: str | None = None
    audit_number: int | None = None


def load_activity(
    readers: Readers, log: AuditLog, catalogue: Catalogue, reader: str, *, complete: bool = False
) -> list[Activity]:
    """Return what happened to a reader, newest first: changes of their sources, and what staff did; each once.

    With `complete`, the cause of the oldest changes is looked up, too. Raises: StoreUnavailable.
    """
    resolved = readers.resolve_merged(reader)
    changes = readers.load_history(resolved)
    causes = [change.cause.partition(":")[2] for change in changes if change.cause.startswith("audit:")]
    if not complete:
        causes = causes[-RECORDS_READ:]
    records: dict[str, dict[str, Any]] = {}
    for batch in batched(causes, _BATCH):
        records |= log.find_by_entry(batch)
    found = _source_changes(changes, records, catalogue)
    seen = {record["seq"] for record in records.values()}
    for name in dict.fromkeys((resolved, reader)):
        about = (
            log.list_for_reader(name)
            if complete
            else log.load_page(AuditFilter(reader=name), limit=RECORDS_READ, after=None)[0]
        )
        found += [_staff_action(record) for record in about if record["seq"] not in seen and record["at"] is not None]
        seen |= {record["seq"] for record in about}
    return sorted(found, key=lambda one: (one.at, one.audit_number or 0), reverse=True)


def _source_changes(
    changes: Sequence[ReaderChange], records: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
) -> list[Activity]:
    """Return the changes, without those of unknown cause that show nothing new, such as a second read from Stripe."""
    previous: dict[bytes, tuple[Holding | None, Activity]] = {}
    found = []
    for change in changes:
        was, last = previous.get(change.field, (None, None))
        holdings = _holdings(change, catalogue)
        activity = _source_change(change, was, holdings, records)
        is_new = last is None or (activity.status, activity.until, activity.plans) != (
            last.status,
            last.until,
            last.plans,
        )
        if activity.event or activity.actor or is_new:
            found.append(activity)
        previous[change.field] = holdings[0] if holdings else None, activity
    return found


def _source_change(
    change: ReaderChange,
    was: Holding | None,
    holdings: Sequence[Holding],
    records: Mapping[str, Mapping[str, Any]],
) -> Activity:
    kind, name = source_type(change)
    now = holdings[0] if holdings else None
    status = now.status_at(change.moment) if now else None
    earlier = was.status_at(change.moment) if was else None
    only_end = was is not None and now is not None and earlier == status and was.until != now.until
    cause, _, origin = change.cause.partition(":")
    record = records.get(origin, {}) if cause == "audit" else {}
    return Activity(
        at=change.moment,
        target=name,
        source=kind,
        plans=[holding.plan for holding in holdings if holding.plan],
        status=status,
        standing=now.standing_at(change.moment) if now else None,
        before=earlier if earlier != status else None,
        until=now.until if now else None,
        was_until=was.until if was is not None and only_end else None,
        actor=record.get("actor"),
        reason=record.get("reason"),
        event=origin if cause == "event" else None,
        audit_number=record.get("seq"),
    )


def _staff_action(record: Mapping[str, Any]) -> Activity:
    return Activity(
        at=datetime.fromisoformat(str(record["at"])).timestamp(),
        target=record["target"],
        action=record["action"],
        actor=record["actor"],
        reason=record["reason"],
        audit_number=record["seq"],
    )
