"""The lists that admins see, each with its name, its CSV columns and its filters; the same for every entrypoint."""

from __future__ import annotations

from dataclasses import dataclass

from service.adapters.pass_tokens import PassTokens
from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditFilter, AuditLog
from service.adapters.redis.staff.admin_keys import AdminKeys
from service.adapters.redis.staff.approvals import Approvals
from service.adapters.redis.story_passes.passes import Passes
from service.adapters.redis.stripe_objects.ledger import BadCursor, Ledger
from service.domain.errors import InvalidFields
from service.entrypoints.responses.administration import AuditRecordOut, KeyOut, write_approval
from service.entrypoints.responses.paging import FOREIGN_CURSOR, Listing, Page, cursor, cut
from service.entrypoints.responses.story_passes import write_pass
from service.entrypoints.responses.stripe_objects import EventOut


@dataclass(frozen=True, slots=True)
class ListKind:
    """What stays the same of a list."""

    name: str
    columns: tuple[str, ...]
    filters: tuple[str, ...] = ()


APPROVALS = ListKind(
    "approvals", ("approval", "state", "kind", "reader", "wants", "reason", "asked_by", "asked_at", "expires_at")
)
AUDIT = ListKind("audit", tuple(chain.PUBLIC_FIELDS), ("reader", "actor", "action", "target"))
EVENTS = ListKind(
    "events",
    ("id", "type", "object", "created", "received_at", "state", "why", "attempts", "duplicates", "changes"),
    ("state",),
)
KEYS = ListKind("keys", ("name", "role", "created_at", "actor"))
PASSES = ListKind("passes", ("id", "story", "openings", "used", "until", "status", "actor", "pass"))


def list_approvals(approvals: Approvals, page: Page, now: float) -> Listing:
    """Return what waits for a second admin, newest first."""
    waiting = [(f"{one.asked_at:012d} {one.id}", one) for one in approvals.list_waiting(now)]
    chosen, following = cut(APPROVALS.name, waiting, page)
    return Listing([write_approval(one) for one in chosen], following)


def list_audit(log: AuditLog, page: Page) -> Listing:
    """Return records of the audit log, newest first. Raises: `InvalidFields` for an `after` that names no record."""
    after = None
    if page.after is not None:
        if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 16):
            raise InvalidFields([FOREIGN_CURSOR])
        after = int(page.after)
    found, last = log.load_page(AuditFilter(**page.filters), limit=page.limit, after=after)
    return Listing([AuditRecordOut.write(record) for record in found], cursor(AUDIT.name, last))


def list_events(ledger: Ledger, page: Page) -> Listing:
    """Return Stripe's events, newest first; of `state` only `dead` can be asked for. Raises: `InvalidFields`."""
    if page.filters.get("state", "dead") != "dead":
        raise InvalidFields([("state", "only dead can be asked for")])
    try:
        found, last = ledger.load_page(page.limit, page.after, dead="state" in page.filters)
    except BadCursor:
        raise InvalidFields([FOREIGN_CURSOR]) from None
    return Listing([EventOut.write(entry) for entry in found], cursor(EVENTS.name, last))


def list_keys(keys: AdminKeys, page: Page) -> Listing:
    """Return the keys that owners created, newest first."""
    chosen, following = cut(KEYS.name, [(f"{key.created_at:019.6f} {key.name}", key) for key in keys.list_all()], page)
    return Listing([KeyOut.write(key) for key in chosen], following)


def list_passes(passes: Passes, tokens: PassTokens, page: Page, now: float) -> Listing:
    """Return the story passes, newest first, also those that expired within 90 days."""
    found, last = passes.load_page(page.limit, page.after)
    return Listing([write_pass(one, tokens, now) for one in found], cursor(PASSES.name, last))
