"""Search by exact ID: readers, and what Stripe and this service name with a prefix.

The search never scans the store's keys. An index resolves an ID; any other ID is taken for a reader's.
"""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urlencode

from flask import Response, url_for

from service.adapters.redis.audit.chain import AuditFilter, AuditLog
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.bootstrap import Service
from service.domain import ids
from service.domain.errors import UnknownDecision
from service.entrypoints.http.admin.page_context import PageContext, render, see_other
from service.entrypoints.http.admin.request_inputs import query_field

STRIPE_KINDS = {"cus": "customer", "sub": "subscription", "cs": "session"}
"""Prefix of a Stripe ID → the kind of the object that is stored under it."""

VIEWS = (
    (re.compile(r"evt_.+"), "event"),
    (re.compile(r"sp_.+"), "story_pass"),
    (re.compile(r"im_[0-9a-f]{20,24}"), "import_progress"),
)
"""Pattern of an ID, and the view that shows it."""

GRANT_ID = re.compile(r"gr_[0-9a-f]{20,24}")
UNSUPPORTED_ID = re.compile(r"(in|pi|ch|py|re|dp|pm|si|price|prod|seti|txn|il)_[A-Za-z0-9_]{8,}")
"""Stripe IDs that this service does not index."""


def register(context: PageContext) -> None:
    service = context.service

    @context.page("GET /readers", "viewer")
    def readers() -> Response:
        query = query_field("q")
        if query is None:
            return render("search.html", query=None)
        kind = STRIPE_KINDS.get(query.partition("_")[0])
        stored = service.event_processor.objects.load(f"{kind}:{query}") if kind is not None else None
        target = _find_target(service, query, stored, context.now)
        if target is not None:
            return see_other(target)
        is_known = stored is not None and _is_known(service.event_processor.objects, stored)
        error = ids.wrong_reader_id(query)
        return render(
            "search.html",
            status=422 if error else 200,
            query=query,
            error=error,
            kind=kind,
            is_known=is_known,
            linkable=_linkable_id(stored) if stored is not None and is_known else None,
            is_unsupported=UNSUPPORTED_ID.fullmatch(query) is not None,
        )


def _find_target(service: Service, query: str, stored: StoredObject | None, now: float) -> str | None:
    """Return the address of an ID's page; `None` for a Stripe object (`stored`) without an owner, and for what is no ID."""
    for pattern, view in VIEWS:
        if pattern.fullmatch(query):
            return f"{url_for(view)}?{urlencode({'id': query})}"
    if GRANT_ID.fullmatch(query):
        return _grant_target(service.audit_log, query)
    if stored is not None:
        return url_for("reader", id=stored.owner.reader) if stored.owner.reader else None
    if len(query) > ids.LONGEST_ID:
        with suppress(UnknownDecision):
            service.explainer.explain_decision(query, now)
            return url_for("decision", id=query)
    return None if ids.wrong_reader_id(query) or UNSUPPORTED_ID.fullmatch(query) else url_for("reader", id=query)


def _is_known(objects: Objects, stored: StoredObject) -> bool:
    # A customer may be known only from the subscriptions and payments that name it.
    pays = stored.ref.kind == "customer" and objects.list_customer_objects(stored.ref.id)
    return stored.facts is not None or bool(pays)


def _linkable_id(stored: StoredObject) -> str | None:
    """Return the customer or subscription by which an object can be linked to a reader; `None` if it names none."""
    if stored.ref.kind != "session":
        return stored.ref.id
    facts = stored.facts
    return (facts.customer or facts.subscription) if facts is not None else None


def _grant_target(log: AuditLog, grant: str) -> str:
    """Return the page of a grant's reader, as the audit log names them; else the grant's audit records."""
    found, _ = log.load_page(AuditFilter(target=grant), limit=1, after=None)
    reader = found[0]["reader"] if found else None
    return url_for("reader", id=reader) if reader else url_for("audit", target=grant)
