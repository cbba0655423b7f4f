"""A reader's activity, newest first: changes of their sources, and what staff did; each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.adapters.redis.audit.chain import AuditFilter, AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ReaderChange
from service.bootstrap import Service
from service.domain.catalogue import Catalogue
from service.domain.sources import Holding
from service.entrypoints.responses.labels import ACTIONS, SOURCES
from service.use_cases.access.source_history import SOURCE_TYPES

FIRST_ENTRIES = 30
"""Entries that the page shows at first."""
RECORDS_READ = 200
"""Audit records that are read for these entries."""
_BATCH = 500


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line: time (epoch seconds), change, the status after it, and its cause: a staff `actor` or a Stripe `event`."""

    at: float
    title: str
    tone: str
    plans: Sequence[str] = ()
    status: str | None = None
    before: str | None = None
    until: int | None = None
    was_until: int | None = None
    """The previous expiry, if only the expiry changed."""
    is_moved: bool = False
    """Whether the source now belongs to another reader."""
    actor: str | None = None
    reason: str | None = None
    event: str | None = None
    audit_number: int | None = None
    target: str | None = None


def read_timeline(service: Service, reader: str, resolved: str, *, complete: bool = False) -> list[TimelineEntry]:
    """Return a reader's activity; `resolved` is the reader that they were merged into, else the same.

    With `complete`, the cause of the oldest entries is looked up, too.
    """
    log = service.audit_log
    changes = service.readers.load_history(resolved)
    causes = [change.cause.partition(":")[2] for change in changes if change.cause.startswith("audit:")]
    records = _read_records(log, causes if complete else causes[-RECORDS_READ:])
    entries = _changes(changes, records, service.access_check.catalogue)
    seen = {record["seq"] for record in records.values()}
    for name in dict.fromkeys((resolved, reader)):
        found = (
            log.list_for_reader(name)
            if complete
            else log.load_page(AuditFilter(reader=name), limit=RECORDS_READ, after=None)[0]
        )
        entries += _staff_actions(record for record in found if record["seq"] not in seen)
        seen |= {record["seq"] for record in found}
    return sorted(entries, key=lambda entry: (entry.at, entry.audit_number or 0), reverse=True)


def _read_records(log: AuditLog, entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(entries), _BATCH):
        found |= log.find_by_entry(entries[start : start + _BATCH])
    return found


def _changes(
    changes: Sequence[ReaderChange], records: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
) -> list[TimelineEntry]:
    previous: dict[bytes, tuple[Holding | None, TimelineEntry]] = {}
    entries = []
    for change in changes:
        source = source_codec.decode(change.field, change.record) if change.record is not None else None
        holdings = source.holdings(catalogue) if source is not None else ()
        now = holdings[0] if holdings else None
        plans = [holding.plan for holding in holdings if holding.plan]
        was, last = previous.get(change.field, (None, None))
        entry = _change(change, was, now, plans, records)
        if entry.event or entry.actor or last is None or _differs(entry, last):
            entries.append(entry)
        previous[change.field] = now, entry
    return entries


def _differs(entry: TimelineEntry, last: TimelineEntry) -> bool:
    """Return whether a change without a known cause, such as a second read from Stripe, shows anything new."""
    return (entry.status, entry.until, list(entry.plans)) != (last.status, last.until, list(last.plans))


def _change(
    change: ReaderChange,
    was: Holding | None,
    now: Holding | None,
    plans: list[str],
    records: Mapping[str, Mapping[str, Any]],
) -> TimelineEntry:
    letter, _, name = change.field.decode().partition(":")
    kind = SOURCE_TYPES.get(letter, letter)
    status = now.status_at(change.moment) if now else None
    earlier = was.status_at(change.moment) if was else None
    only_end = was is not None and now is not None and earlier == status and was.until != now.until
    return TimelineEntry(
        at=change.moment,
        title=SOURCES.get(kind, kind),
        tone=_tone(now, change.moment),
        plans=plans,
        status=status,
        before=earlier if earlier != status else None,
        until=now.until if now else None,
        was_until=was.until if was is not None and only_end else None,
        is_moved=now is None,
        target=name,
        **_cause(change.cause, records),
    )


def _tone(holding: Holding | None, at: float) -> str:
    if holding is None:
        return "quiet"
    return {"good": "good", "grace": "warn", "ended": "bad"}.get(holding.standing_at(at).value, "quiet")


def _cause(cause: str, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    kind, _, name = cause.partition(":")
    if kind == "event":
        return {"event": name}
    record = records.get(name) if kind == "audit" else None
    if record is None:
        return {}
    return {"actor": record["actor"], "reason": record["reason"], "audit_number": record["seq"]}


def _staff_actions(records: Iterable[Mapping[str, Any]]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            at=datetime.fromisoformat(str(record["at"])).timestamp(),
            title=ACTIONS.get(record["action"], str(record["action"])),
            tone="quiet",
            actor=record["actor"],
            reason=record["reason"],
            audit_number=record["seq"],
            target=record["target"],
        )
        for record in records
        if record["at"] is not None
    ]
