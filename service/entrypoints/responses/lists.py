"""The lists that admins see, each with its name, its CSV columns and its filters; the same for every entrypoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditFilter
from service.adapters.redis.stripe_objects.ledger import BadCursor
from service.domain.errors import InvalidFields
from service.entrypoints.responses.administration import AuditRecordOut, KeyOut, write_approval
from service.entrypoints.responses.paging import FOREIGN_CURSOR, Listing, Page, cursor, cut
from service.entrypoints.responses.story_passes import write_pass
from service.entrypoints.responses.stripe_objects import EventOut

if TYPE_CHECKING:
    from service.bootstrap import Service


@dataclass(frozen=True, slots=True)
class ListKind:
    """What stays the same of a list; `load` returns a page of it, newest first."""

    name: str
    load: Callable[[Service, Page], Listing]
    columns: tuple[str, ...]
    filters: tuple[str, ...] = ()


def _approvals(service: Service, page: Page) -> Listing:
    waiting = [(f"{one.asked_at:012d} {one.id}", one) for one in service.approvals.list_waiting(service.clock())]
    chosen, following = cut("approvals", waiting, page)
    return Listing([write_approval(one) for one in chosen], following)


def _audit(service: Service, page: Page) -> Listing:
    after = None
    if page.after is not None:
        if not (page.after.isascii() and page.after.isdigit() and len(page.after) < 16):
            raise InvalidFields([FOREIGN_CURSOR])
        after = int(page.after)
    found, last = service.audit_log.load_page(AuditFilter(**page.filters), limit=page.limit, after=after)
    return Listing([AuditRecordOut.write(record) for record in found], cursor("audit", last))


def _events(service: Service, page: Page) -> Listing:
    if page.filters.get("state", "dead") != "dead":
        raise InvalidFields([("state", "only dead can be asked for")])
    try:
        found, last = service.event_processor.ledger.load_page(page.limit, page.after, dead="state" in page.filters)
    except BadCursor:
        raise InvalidFields([FOREIGN_CURSOR]) from None
    return Listing([EventOut.write(entry) for entry in found], cursor("events", last))


def _keys(service: Service, page: Page) -> Listing:
    found = [(f"{key.created_at:019.6f} {key.name}", key) for key in service.admin_keys.list_all()]
    chosen, following = cut("keys", found, page)
    return Listing([KeyOut.write(key) for key in chosen], following)


def _passes(service: Service, page: Page) -> Listing:
    (found, last), now = service.passes.load_page(page.limit, page.after), service.clock()
    return Listing([write_pass(one, service.pass_tokens, now) for one in found], cursor("passes", last))


APPROVALS = ListKind(
    "approvals",
    _approvals,
    ("approval", "state", "kind", "reader", "wants", "reason", "asked_by", "asked_at", "expires_at"),
)
AUDIT = ListKind("audit", _audit, tuple(chain.PUBLIC_FIELDS), ("reader", "actor", "action", "target"))
EVENTS = ListKind(
    "events",
    _events,
    ("id", "type", "object", "created", "received_at", "state", "why", "attempts", "duplicates", "changes"),
    ("state",),
)
"""Of the states, only `dead` can be asked for."""
KEYS = ListKind("keys", _keys, ("name", "role", "created_at", "actor"))
PASSES = ListKind("passes", _passes, ("id", "story", "openings", "used", "until", "status", "actor", "pass"))
"""Also those that expired within 90 days."""
