"""The lists that admins see, each with its name, its CSV columns and its filters; the same for every entrypoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.chain import AuditFilter
from service.adapters.redis.stripe_objects.ledger import BadCursor
from service.domain.errors import InvalidFields
from service.domain.ids import read_id, read_reader, read_text
from service.domain.sources import SourceType, Standing
from service.domain.times import read_time
from service.entrypoints.responses.administration import AuditRecordOut, KeyOut, write_approval
from service.entrypoints.responses.paging import FOREIGN_CURSOR, Filters, Listing, Page, cursor, cut
from service.entrypoints.responses.readers import GRANT_STATUSES, ListedReaderOut, write_grant
from service.entrypoints.responses.reporting import ComparisonOut
from service.entrypoints.responses.story_passes import write_pass
from service.entrypoints.responses.stripe_objects import EventOut
from service.use_cases.lists.reader_lists import GrantFilter, ReaderFilter

if TYPE_CHECKING:
    from service.bootstrap import Service


@dataclass(frozen=True, slots=True)
class ListKind:
    """What stays the same of a list; `load` returns a page of it: readers by ID, all else newest first."""

    name: str
    load: Callable[[Service, Page], Listing]
    columns: tuple[str, ...]
    filters: Filters = field(default_factory=dict)


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


def _comparisons(service: Service, page: Page) -> Listing:
    if page.after is not None and not re.fullmatch(r"\d{13} [0-9a-f]{10}", page.after, re.ASCII):
        raise InvalidFields([FOREIGN_CURSOR])
    found, last = service.comparisons.samples.load_page(page.limit, page.after, service.clock())
    return Listing([ComparisonOut.write(sample) for sample in found], cursor("comparisons", last))


def _events(service: Service, page: Page) -> Listing:
    if page.filters.get("state", "dead") != "dead":
        raise InvalidFields([("state", "only dead can be asked for")])
    try:
        found, last = service.event_processor.ledger.load_page(page.limit, page.after, dead="state" in page.filters)
    except BadCursor:
        raise InvalidFields([FOREIGN_CURSOR]) from None
    return Listing([EventOut.write(entry) for entry in found], cursor("events", last))


def grant_filter(filters: Mapping[str, Any]) -> GrantFilter:
    """Return the filter of grants from those of a request."""
    return GrantFilter(**{_IMPORT_FILTER.get(name, name): value for name, value in filters.items()})


def _grants(service: Service, page: Page) -> Listing:
    if page.after is not None and not re.fullmatch(r"\d{1,12} \S+", page.after, re.ASCII):
        raise InvalidFields([FOREIGN_CURSOR])
    wanted = grant_filter(page.filters)
    (found, last), now = service.reader_lists.find_grants(wanted, page.limit, page.after), service.clock()
    return Listing([write_grant(one.grant, one.reader, now) for one in found], cursor("grants", last))


def _grants_by_end(service: Service, page: Page) -> Listing:
    if page.after is not None and not re.fullmatch(r"\d{1,12} \S+", page.after, re.ASCII):
        raise InvalidFields([FOREIGN_CURSOR])
    found, last = service.reader_lists.find_ending_grants(grant_filter(page.filters), page.limit, page.after)
    now = service.clock()
    return Listing([write_grant(one.grant, one.reader, now) for one in found], cursor("grants-by-end", last))


def _readers(service: Service, page: Page) -> Listing:
    found, last = service.reader_lists.find_readers(ReaderFilter(**page.filters), page.limit, page.after)
    return Listing([ListedReaderOut.write(one) for one in found], cursor("readers", last))


def _readers_by_end(service: Service, page: Page) -> Listing:
    if page.after is not None and not re.fullmatch(r"\d{1,12} [^\n]+", page.after, re.ASCII):
        raise InvalidFields([FOREIGN_CURSOR])
    wanted = ReaderFilter(**page.filters)
    found, last = service.reader_lists.find_readers(wanted, page.limit, page.after, by_end=True)
    return Listing([ListedReaderOut.write(one) for one in found], cursor("readers-by-end", last))


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def _read_flag(text: str) -> bool:
    return _one_of("true", "false")(text) == "true"


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
AUDIT = ListKind(
    "audit", _audit, tuple(chain.PUBLIC_FIELDS), dict.fromkeys(("reader", "actor", "action", "target"), read_id)
)
COMPARISONS = ListKind("comparisons", _comparisons, ("at", "decision_id", "ours", "theirs", "reason", "story"))
EVENTS = ListKind(
    "events",
    _events,
    ("id", "type", "object", "created", "received_at", "state", "why", "attempts", "duplicates", "changes"),
    {"state": read_id},
)
"""Of the states, only `dead` can be asked for."""
_IMPORT_FILTER = {"import": "import_id"}
GRANTS = ListKind(
    "grants",
    _grants,
    (
        "id",
        "reader",
        "plan",
        "features",
        "reason",
        "from",
        "until",
        "status",
        "actor",
        "created_at",
        "import",
    ),
    {
        "plan": read_id,
        "actor": read_text,
        "status": _one_of(*GRANT_STATUSES),
        "ends_before": read_time,
        "import": read_text,
        "reader": read_reader,
    },
)
READERS = ListKind(
    "readers",
    _readers,
    ("reader", "access", "plans", "sources", "standing", "until", "customers", "changed_at"),
    {
        "prefix": read_text,
        "plan": read_id,
        "source": _one_of(*get_args(SourceType)),
        "standing": _one_of(*Standing),
        "ends_before": read_time,
        "access": _read_flag,
    },
)
GRANT_TABLE = replace(GRANTS, filters={**GRANTS.filters, "prefix": read_text})
"""The staff page also finds grants by the beginning of the reader's ID."""
GRANTS_BY_END = replace(GRANT_TABLE, name="grants-by-end", load=_grants_by_end)
READERS_BY_END = replace(READERS, name="readers-by-end", load=_readers_by_end)
"""The first to end come first, those without an end last; only the staff page has it."""
KEYS = ListKind("keys", _keys, ("name", "role", "created_at", "actor"))
PASSES = ListKind("passes", _passes, ("id", "story", "openings", "used", "until", "status", "actor", "pass"))
"""Also those that expired within 90 days."""
