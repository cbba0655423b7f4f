"""What admins see, as the contract's JSON: the same for the API, the staff pages and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from service.adapters.pass_tokens import PassTokens
from service.adapters.redis.grants.imports import ImportManifest
from service.adapters.redis.readers import source_codec as codec
from service.adapters.redis.readers.readers import ReaderChange
from service.adapters.redis.reporting.usage_counts import UPSELL_WINDOW
from service.adapters.redis.staff.admin_keys import AdminKey
from service.adapters.redis.staff.approvals import Approval
from service.adapters.redis.stripe_objects.ledger import LedgerEntry
from service.adapters.redis.stripe_objects.seats import Seat
from service.domain.catalogue import DAY, Catalogue
from service.domain.sources import Grant
from service.domain.story_passes import StoryPass
from service.domain.times import write_time
from service.entrypoints.responses.access import write_decision
from service.entrypoints.responses.readers import write_grant, write_reader
from service.use_cases.access.explain import Explanation
from service.use_cases.access.reader_profile import ReaderProfile
from service.use_cases.access.source_history import SOURCE_TYPES
from service.use_cases.grants.approvals import Outcome
from service.use_cases.grants.imports.grant_imports import Counts, Waiting
from service.use_cases.grants.imports.rows import Sheet
from service.use_cases.privacy.erasure import Erasing
from service.use_cases.privacy.export import ReaderExport
from service.use_cases.reporting.alerts import Alert
from service.use_cases.reporting.statistics import Figures, Point
from service.use_cases.story_passes.gifts import Allowance
from service.use_cases.subscriptions.administration import SeatGroup

# ------------------------------------------------------------------------------------------------ readers, decisions


def reader(profile: ReaderProfile) -> dict[str, Any]:
    """Return a reader's profile."""
    return write_reader(profile)


def decision(explanation: Explanation) -> dict[str, Any]:
    """Return an explained decision."""
    return write_decision(explanation)


def grant(given: Grant, reader: str, now: float) -> dict[str, Any]:
    """Return a grant."""
    return write_grant(given, reader, now)


def reader_export(found: ReaderExport) -> dict[str, Any]:
    """Return everything that is kept of a reader."""
    return {
        **reader(found.profile),
        "merged": list(found.merged),
        "history": [_change(change) for change in found.history],
        "stripe_objects": list(found.stripe_objects),
        "erased_at": write_time(found.erased_at),
        "audit": list(found.audit),
        "head": found.head,
    }


def _change(change: ReaderChange) -> dict[str, Any]:
    letter, _, name = change.field.decode().partition(":")
    source = codec.decode(change.field, change.record) if change.record else None
    fields = source.__dataclass_fields__ if source is not None else {}
    return {
        "at": write_time(change.at),
        "type": SOURCE_TYPES.get(letter, letter),
        "id": name,
        "facts": {name: _plain(getattr(source, name)) for name in fields if name != "id"} if source else None,
        "cause": change.cause,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    fields = getattr(value, "__dataclass_fields__", None)
    return {name: getattr(value, name) for name in fields} if fields else value


def erasing(done: Erasing) -> dict[str, Any]:
    """Return what was erased."""
    return {"erased": done.counts, "files_rewritten": done.files_rewritten}


# ---------------------------------------------------------------------------------------- keys, approvals, imports


def key(kept: AdminKey) -> dict[str, Any]:
    """Return a key, without the key itself."""
    return {"name": kept.name, "role": kept.role, "created_at": write_time(kept.created_at), "actor": kept.actor}


def approval(
    asked: Approval, state: str = "waiting", outcome: Outcome | None = None, now: float = 0.0
) -> dict[str, Any]:
    """Return an approval; `outcome` is the result of what was confirmed, at `now`."""
    result: dict[str, Any] | None = None
    if isinstance(outcome, Grant):
        result = {"grant": grant(outcome, asked.reader or "", now)}
    elif outcome is not None:
        result = {"import": grant_import(outcome)}
    return {
        "approval": asked.id,
        "state": state,
        "kind": asked.kind,
        "reader": asked.reader,
        "wants": dict(asked.wants),
        "reason": asked.reason,
        "asked_by": asked.asked_by,
        "asked_at": write_time(asked.asked_at),
        "expires_at": write_time(asked.expires_at),
        "settled_by": asked.settled_by,
        "outcome": result,
    }


def submitted(done: ImportManifest | Waiting) -> dict[str, Any]:
    """Return an import that has begun, or one that waits for an approval: then the approval's own words come first."""
    if isinstance(done, Waiting):
        return {**grant_import(done.manifest), **approval(done.approval)}
    return grant_import(done)


def grant_import(manifest: ImportManifest) -> dict[str, Any]:
    """Return an import: its plan until it is done, then what was done."""
    counts = manifest.planned if manifest.state in ("staged", "applying") else manifest.counted
    undoing = manifest.undo is not None
    return {
        "id": manifest.id,
        "state": manifest.public_state,
        "rows": manifest.rows,
        **{name: counts.get(name, 0) for name in ("new", "extended", "unchanged")},
        "skipped": manifest.counted.get("skipped", 0),
        "errors": [],
        "actor": manifest.actor.name,
        "created_at": write_time(manifest.created_at),
        "approval": manifest.approval,
        "progress": {"done": manifest.cursor, "of": manifest.chunks},
        "undo": {name: manifest.counted[name] for name in ("taken_back", "left_alone")} if undoing else None,
    }


def dry_run(sheet: Sheet, counts: Counts) -> dict[str, Any]:
    """Return what an import would do, and what is wrong with its file."""
    return {"id": None, "state": "staged", "rows": sheet.rows, **counts, "errors": row_errors(sheet.mistakes)}


def row_errors(rows: Sequence[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """Return what is wrong with the lines of a file, by line."""
    ordered = sorted(rows, key=lambda row: row[0])
    return [{"line": line, "field": field, "message": message} for line, field, message in ordered]


# ------------------------------------------------------------------------------------------- Stripe: links, seats, events


def group(found: SeatGroup) -> dict[str, Any]:
    """Return the seats of a subscription."""
    return {
        "subscription": found.subscription,
        "quantity": found.quantity,
        "used": len(found.seats),
        "seats": [_seat(seat) for seat in found.seats],
        "removed": [_seat(seat) for seat in found.removed],
    }


def _seat(seat: Seat) -> dict[str, Any]:
    return {"reader": seat.reader, "since": write_time(seat.since)}


def event(entry: LedgerEntry) -> dict[str, Any]:
    """Return an event of Stripe's, with the entitlements that it changed."""
    return {
        "id": entry.id,
        "type": entry.type,
        "object": entry.object,
        "created": write_time(entry.created),
        "received_at": write_time(entry.received_at),
        "state": entry.state,
        "why": entry.why,
        "attempts": entry.attempts,
        "duplicates": entry.duplicates,
        "changes": [
            {"reader": change.reader, "before": _held(change.before), "after": _held(change.after)}
            for change in entry.changes
        ],
    }


def _held(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [{"feature": feature, "until": write_time(until), "source": source} for feature, until, source in rows]


# ------------------------------------------------------------------------------------------------------ story passes


def story_pass(made: StoryPass, tokens: PassTokens, now: float) -> dict[str, Any]:
    """Return a story pass, with its link's token."""
    return {
        "id": made.id,
        "pass": tokens.sign(made),
        "story": made.story,
        "openings": made.openings,
        "used": made.used,
        "until": write_time(made.until),
        "status": made.status_at(now),
        "actor": made.actor,
    }


def pass_link(catalogue: Catalogue, encoded: dict[str, Any]) -> str | None:
    """Return the address that opens the story of an encoded pass; `None` without `story_url` in paywall.toml."""
    if catalogue.story_url is None:
        return None
    address = catalogue.story_url.replace("{story}", quote(encoded["story"], safe=""))
    return f"{address}{'&' if '?' in address else '?'}pass={quote(encoded['pass'], safe='')}"


def allowance(found: Allowance) -> dict[str, Any]:
    """Return how many gifts a reader may still make this month."""
    return {"limit": found.limit, "used": found.used, "left": found.left, "resets_at": write_time(found.resets_at)}


# ------------------------------------------------------------------------------------------------ statistics, alerts

FIGURE_COLUMNS = ("day", "measure", "name", "value")


def figures(found: Figures) -> dict[str, Any]:
    """Return the statistics by day and hour."""
    share = found.upsell
    return {
        "zone": found.zone,
        "days": [_point(point) for point in found.days],
        "hours": [_point(point) for point in found.hours],
        "upsell": {
            "begun": share.hits,
            "readers": share.cases,
            "share": share.share,
            "low": share.low,
            "high": share.high,
            "within_days": UPSELL_WINDOW // DAY,
        },
    }


def _point(point: Point) -> dict[str, Any]:
    delay = point.delay
    return {
        "when": point.when,
        "checks": [{"show": show, "reason": reason, "count": n} for (show, reason), n in point.checks.items()],
        "upsells": point.upsells,
        "upsell_readers": point.upsell_readers,
        "begun": point.begun,
        "entitlements": [{"plan": plan or None, "count": n} for plan, n in point.entitlements.items()],
        "webhooks": [{"outcome": outcome, "count": n} for outcome, n in point.webhooks.items()],
        "delay": {
            "events": delay.events,
            "mean": delay.mean,
            "half_within": delay.half_within,
            "most_within": delay.most_within,
        },
    }


def figure_rows(found: Figures) -> Iterator[dict[str, Any]]:
    """Yield a row of `FIGURE_COLUMNS` for each figure of each day."""
    for point in found.days:
        for measure, name, value in _measures(point):
            yield {"day": point.when, "measure": measure, "name": name, "value": value}


def _measures(point: Point) -> Iterator[tuple[str, str, float]]:
    for (show, reason), number in point.checks.items():
        yield f"checks {show}", reason, number
    yield "upsells", "shown", point.upsells
    yield "upsells", "readers", point.upsell_readers
    yield "upsells", "begun", point.begun
    for plan, number in point.entitlements.items():
        yield "entitlements", plan, number
    for outcome, number in point.webhooks.items():
        yield "webhooks", outcome, number
    if point.delay.mean is not None:
        yield "webhooks", "mean delay in seconds", point.delay.mean


def alerts(found: Sequence[Alert], now: float) -> dict[str, Any]:
    """Return what needs attention."""
    return {
        "at": write_time(now),
        "needs_hand": any(alert.count and alert.requires_action for alert in found),
        "items": [_alert(alert) for alert in found],
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "kind": alert.kind,
        "count": alert.count,
        "needs_hand": alert.requires_action and alert.count > 0,
        "title": alert.title,
        "mend": alert.advice,
        "where": alert.where,
        "examples": [
            {"id": one.id, "reader": one.reader, "at": write_time(one.at), "text": one.text} for one in alert.examples
        ],
    }
