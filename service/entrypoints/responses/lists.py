"""The lists that admins see, each with its name, its CSV columns and its filters; the same for every entrypoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from service.adapters.redis.audit.chain import AuditFilter
from service.adapters.redis.stripe_objects.ledger import BadCursor
from service.domain.errors import InvalidFields
from service.domain.ids import read_id, read_reader, read_text
from service.domain.sources import SourceType, Standing
from service.domain.times import read_time
from service.entrypoints.responses.administration import ApprovalOut, AuditRecordOut, KeyOut, write_approval
from service.entrypoints.responses.fields import JsonObject, ResponseSchema, schema_of
from service.entrypoints.responses.paging import (
    FOREIGN_CURSOR,
    USUAL,
    ListFilter,
    Listing,
    Page,
    cursor,
    cut,
    place_in,
    read_limit,
)
from service.entrypoints.responses.readers import GRANT_STATUSES, GrantOut, ListedReaderOut, write_grant
from service.entrypoints.responses.reporting import ComparisonOut
from service.entrypoints.responses.story_passes import PassOut, write_pass
from service.entrypoints.responses.stripe_objects import EventOut
from service.use_cases.lists.reader_lists import GrantFilter, ReaderFilter

if TYPE_CHECKING:
    from service.bootstrap import Service

Found = tuple[list[JsonObject], str | int | None]
"""The items of a page, and the place behind which the next page begins."""


@dataclass(frozen=True, slots=True)
class ListKind:
    """What stays the same of a list: readers by ID, all else newest first. `place` is the pattern of a place in it."""

    name: str
    find: Callable[[Service, Page], Found]
    schema: type[ResponseSchema]
    filters: Mapping[str, ListFilter] = field(default_factory=dict)
    place: str = r".*"
    some_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns as CSV: all fields of an item, or `some_columns`."""
        every = (item.data_key or name for name, item in schema_of(self.schema).fields.items())
        return self.some_columns or tuple(every)

    def read_page(
        self, given: Mapping[str, str | None], limit: int = USUAL, wrong: Iterable[tuple[str, str]] = ()
    ) -> Page:
        """Return the page that these parameters ask for; others than the list's own are ignored.

        `limit`: how many items, where no parameter says so. `wrong`: what is already known to be wrong.
        Raises: `InvalidFields` with all of it.
        """
        errors, after = list(wrong), None
        found: dict[str, Any] = {}
        for name, value in given.items():
            try:
                if value is None:
                    continue
                if name == "limit":
                    limit = read_limit(value)
                elif name == "after":
                    after = place_in(value, self.name)
                elif name in self.filters:
                    found[name] = self.filters[name].read(value)
            except ValueError as error:
                errors.append((name, str(error)))
        if errors:
            raise InvalidFields(errors)
        return Page(limit, after, found)

    def load(self, service: Service, page: Page) -> Listing:
        """Return a page of the list. Raises: `InvalidFields`."""
        if page.after is not None and not re.fullmatch(self.place, page.after, re.ASCII | re.DOTALL):
            raise InvalidFields([FOREIGN_CURSOR])
        items, last = self.find(service, page)
        return Listing(items, cursor(self.name, last))


def _approvals(service: Service, page: Page) -> Found:
    found = service.approval_workflow.list_waiting(service.clock())
    waiting = [(f"{one.asked_at:012d} {one.id}", one) for one in found]
    chosen, last = cut(waiting, page)
    return [write_approval(one) for one in chosen], last


def _audit(service: Service, page: Page) -> Found:
    after = None if page.after is None else int(page.after)
    found, last = service.audit_log.load_page(AuditFilter(**page.filters), limit=page.limit, after=after)
    return [AuditRecordOut.write(record) for record in found], last


def _comparisons(service: Service, page: Page) -> Found:
    found, last = service.comparisons.samples.load_page(page.limit, page.after, service.clock())
    return [ComparisonOut.write(sample) for sample in found], last


def _events(service: Service, page: Page) -> Found:
    try:
        found, last = service.event_processor.ledger.load_page(page.limit, page.after, dead="state" in page.filters)
    except BadCursor:
        raise InvalidFields([FOREIGN_CURSOR]) from None
    return [EventOut.write(entry) for entry in found], last


def grant_filter(filters: Mapping[str, Any]) -> GrantFilter:
    """Return the filter of grants from those of a request."""
    return GrantFilter(**{"import_id" if name == "import" else name: value for name, value in filters.items()})


def _grants(service: Service, page: Page, *, by_end: bool = False) -> Found:
    find = service.reader_lists.find_ending_grants if by_end else service.reader_lists.find_grants
    (found, last), now = find(grant_filter(page.filters), page.limit, page.after), service.clock()
    return [write_grant(one.grant, one.reader, now) for one in found], last


def _readers(service: Service, page: Page, *, by_end: bool = False) -> Found:
    wanted = ReaderFilter(**page.filters)
    found, last = service.reader_lists.find_readers(wanted, page.limit, page.after, by_end=by_end)
    return [ListedReaderOut.write(one) for one in found], last


def _keys(service: Service, page: Page) -> Found:
    created = [(f"{key.created_at:019.6f} {key.name}", key) for key in service.admin_keys.list_all()]
    chosen, last = cut(created, page)
    return [KeyOut.write(key) for key in chosen], last


def _passes(service: Service, page: Page) -> Found:
    (found, last), now = service.passes.load_page(page.limit, page.after), service.clock()
    return [write_pass(one, service.pass_tokens, now) for one in found], last


def _one_of(*options: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in options:
            raise ValueError(f"must be {'one of ' if len(options) > 1 else ''}{', '.join(options)}")
        return text

    return read


def _choice(description: str, *options: str) -> ListFilter:
    return ListFilter(description, _one_of(*options), {"type": "string", "enum": list(map(str, options))})


_ENDS_BEFORE = ListFilter(
    "Only what ends earlier than this; never what has no end.", read_time, {"type": "string", "format": "date-time"}
)


APPROVALS = ListKind(
    "approvals",
    _approvals,
    ApprovalOut,
    some_columns=("approval", "state", "kind", "reader", "wants", "reason", "asked_by", "asked_at", "expires_at"),
)
AUDIT = ListKind(
    "audit",
    _audit,
    AuditRecordOut,
    {name: ListFilter(f"Only records with this {name}.", read_id) for name in ("reader", "actor", "action", "target")},
    r"\d{1,15}",
)
COMPARISONS = ListKind("comparisons", _comparisons, ComparisonOut, place=r"\d{13} [0-9a-f]{10}")
EVENTS = ListKind(
    "events",
    _events,
    EventOut,
    {"state": _choice("`dead`: only those that were given up.", "dead")},
)
GRANTS = ListKind(
    "grants",
    _grants,
    GrantOut,
    {
        "plan": ListFilter("Only grants of this plan.", read_id),
        "actor": ListFilter("Only grants that this admin created.", read_text),
        "status": _choice("Only grants of this status.", *GRANT_STATUSES),
        "ends_before": _ENDS_BEFORE,
        "import": ListFilter("Only grants of this import.", read_text),
        "reader": ListFilter("Only this reader's grants.", read_reader),
    },
    r"\d{1,12} \S+",
)
READERS = ListKind(
    "readers",
    _readers,
    ListedReaderOut,
    {
        "prefix": ListFilter("Only readers whose ID begins with this.", read_text),
        "plan": ListFilter("Only readers with this plan.", read_id),
        "source": _choice("Only readers with a source of this type.", *get_args(SourceType)),
        "standing": _choice("Only readers of this standing.", *Standing),
        "ends_before": _ENDS_BEFORE,
        "access": ListFilter(
            "Only readers who hold a feature now, or only those who hold none.",
            lambda text: _one_of("true", "false")(text) == "true",
            {"type": "boolean"},
        ),
    },
)
GRANT_TABLE = replace(GRANTS, filters={**GRANTS.filters, "prefix": READERS.filters["prefix"]})
"""The staff page also finds grants by the beginning of the reader's ID."""
GRANTS_BY_END = replace(GRANT_TABLE, name="grants-by-end", find=partial(_grants, by_end=True))
READERS_BY_END = replace(READERS, name="readers-by-end", find=partial(_readers, by_end=True), place=r"\d{1,12} [^\n]+")
"""The first to end come first, those without an end last; only the staff page has it."""
KEYS = ListKind("keys", _keys, KeyOut)
_PASS_COLUMNS = ("id", "story", "openings", "used", "until", "status", "actor", "pass")
PASSES = ListKind("passes", _passes, PassOut, some_columns=_PASS_COLUMNS)
"""Also those that expired within 90 days."""
