"""What happened to a reader, newest first: changes of sources, and what staff did, each told once and in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.adapters.redis.audit.chain import AuditLog, Wanted
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import Change, Readers
from service.domain.catalogue import Catalogue
from service.domain.sources import Holding
from service.entrypoints.responses.labels import ACTIONS, SOURCES
from service.use_cases.access.causes import TYPES

SHOWN = 30
"""Entries shown before somebody asks for all."""
MOST_RECORDS = 200
"""Records of the audit log that are read for those; more than are shown."""
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, what, how it stands then; whose doing (`actor` with a reason, or an `event` of Stripe's)."""

    at: float
    title: str
    tone: str
    plans: Sequence[str] = ()
    status: str | None = None
    before: str | None = None
    until: int | None = None
    was_until: int | None = None
    """The end before, where nothing but the end changed."""
    moved: bool = False
    actor: str | None = None
    reason: str | None = None
    event: str | None = None
    seq: int | None = None
    target: str | None = None


def of(
    readers: Readers, log: AuditLog, catalogue: Catalogue, reader: str, resolved: str, *, every: bool = False
) -> list[Entry]:
    """A reader's timeline; with `every`, also of the oldest entries whose doing they were. `StoreUnavailable` where the
    store is away.
    """
    changes = readers.history(resolved)
    causes = [change.cause.partition(":")[2] for change in changes if change.cause.startswith("audit:")]
    records = _records(log, causes if every else causes[-MOST_RECORDS:])
    told = _changes(changes, records, catalogue)
    used = {record["seq"] for record in records.values()}
    others: list[dict[str, Any]] = []
    for name in dict.fromkeys((resolved, reader)):
        found = log.of(name) if every else log.page(Wanted(reader=name), limit=MOST_RECORDS, after=None)[0]
        others += [record for record in found if record["seq"] not in used]
        used |= {record["seq"] for record in others}
    told += [_record(record) for record in others if record["at"] is not None]
    return sorted(told, key=lambda entry: (entry.at, entry.seq or 0), reverse=True)


def _records(log: AuditLog, entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(entries), _BATCH):
        found |= log.by_entry(entries[start : start + _BATCH])
    return found


def _changes(changes: Sequence[Change], records: Mapping[str, Mapping[str, Any]], catalogue: Catalogue) -> list[Entry]:
    before: dict[bytes, Holding | None] = {}
    last: dict[bytes, Entry] = {}
    told = []
    for change in changes:
        source = source_codec.decode(change.field, change.record) if change.record is not None else None
        holdings = source.holdings(catalogue) if source is not None else ()
        first = holdings[0] if holdings else None
        plans = [holding.plan for holding in holdings if holding.plan]
        entry = _change(change, before.get(change.field), first, plans, records)
        if entry.event or entry.actor or (change.field not in before) or _shows(entry, last[change.field]):
            told.append(entry)
        before[change.field], last[change.field] = first, entry
    return told


def _shows(entry: Entry, last: Entry) -> bool:
    """Whether what was read again, on nobody's account, says anything that the entry before did not."""
    return (entry.status, entry.until, list(entry.plans)) != (last.status, last.until, list(last.plans))


def _change(
    change: Change,
    was: Holding | None,
    now: Holding | None,
    plans: list[str],
    records: Mapping[str, Mapping[str, Any]],
) -> Entry:
    letter, _, name = change.field.decode().partition(":")
    kind = TYPES.get(letter, letter)
    status = now.status_at(change.moment) if now else None
    earlier = was.status_at(change.moment) if was else None
    only_end = was is not None and now is not None and earlier == status and was.until != now.until
    return Entry(
        at=change.moment,
        title=SOURCES.get(kind, kind),
        tone=_tone(now, change.moment),
        plans=plans,
        status=status,
        before=earlier if earlier != status else None,
        until=now.until if now else None,
        was_until=was.until if was is not None and only_end else None,
        moved=now is None,
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
    return {"actor": record["actor"], "reason": record["reason"], "seq": record["seq"]}


def _record(record: Mapping[str, Any]) -> Entry:
    return Entry(
        at=datetime.fromisoformat(str(record["at"])).timestamp(),
        title=ACTIONS.get(record["action"], str(record["action"])),
        tone="quiet",
        actor=record["actor"],
        reason=record["reason"],
        seq=record["seq"],
        target=record["target"],
    )
