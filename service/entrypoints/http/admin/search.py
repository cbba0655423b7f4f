"""One field that finds everything by its exact id: a reader, or what Stripe and this service name with a prefix.

Nothing here looks through the store's keys: an id either leads somewhere by an index, or is taken for a reader's.
"""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import urlencode

from flask import Flask, Response, redirect, url_for

from service.adapters.redis.audit.chain import AuditLog, Wanted
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.bootstrap import Service
from service.domain import ids
from service.entrypoints.http.admin.frame import Frame, asked, needs, show
from service.entrypoints.http.admin.reader import link

KINDS = {"cus": "customer", "sub": "subscription", "cs": "session"}
"""The beginning of an id of Stripe's → the kind of object that is kept under it."""

VIEWS = (
    (re.compile(r"evt_.+"), "event", "id"),
    (re.compile(r"sp_.+"), "story_pass", "id"),
    (re.compile(r"im_[0-9a-f]{20,24}"), "import_shown", "id"),
)
"""How an id of ours or Stripe's looks, the view that shows it, and the field that takes it."""

GRANT = re.compile(r"gr_[0-9a-f]{20,24}")
UNKEPT = re.compile(r"(in|pi|ch|py|re|dp|pm|si|price|prod|seti|txn|il)_[A-Za-z0-9_]{8,}")
"""Ids of Stripe's by which nothing can be found here."""


def register(page: Flask, frame: Frame) -> None:
    """Adds the search."""
    service = frame.service

    @page.get("/readers")
    @needs("viewer")
    def readers() -> Response:
        query = asked("q")
        if query is None:
            return show("search.html", query=None)
        to = _place(service, query, frame.now)
        if to is not None:
            return cast(Response, redirect(to, 303))
        kind = KINDS.get(query.partition("_")[0])
        stored = service.engine.objects.load(f"{kind}:{query}") if kind is not None else None
        known = stored is not None and _known(service.engine.objects, stored)
        wrong = _wrong(query)
        return show(
            "search.html",
            status=422 if wrong else 200,
            query=query,
            wrong=wrong,
            found=kind,
            known=known,
            linkable=_linkable(stored) if stored is not None and known else None,
            unkept=UNKEPT.fullmatch(query) is not None,
        )


def _place(service: Service, query: str, now: float) -> str | None:
    """Where an id leads; `None` for what is of Stripe's and nobody's here, and for what can be no id."""
    head = query.partition("_")[0]
    for looks, view, field in VIEWS:
        if looks.fullmatch(query):
            return f"{url_for(view)}?{urlencode({field: query})}"
    if GRANT.fullmatch(query):
        return _of_grant(service.audit_log, query)
    if head in KINDS:
        owner = service.engine.objects.load(f"{KINDS[head]}:{query}").owner.reader
        return link(owner) if owner else None
    if len(query) > 128 and service.why.decision(query, now) is not None:
        return url_for("decision", id=query)
    return None if _wrong(query) or UNKEPT.fullmatch(query) else link(query)


def _known(objects: Objects, stored: StoredObject) -> bool:
    # Stripe need not have told of a customer by itself: what it pays for names it.
    pays = stored.ref.kind == "customer" and objects.belongings(stored.ref.id)
    return stored.told is not None or bool(pays)


def _linkable(stored: StoredObject) -> str | None:
    """By which customer or subscription an object can be made a reader's; `None` where it names none."""
    if stored.ref.kind != "session":
        return stored.ref.id
    told = stored.told
    return (told.customer or told.subscription) if told is not None else None


def _of_grant(log: AuditLog, name: str) -> str:
    """Where a grant's id leads: to its reader, of whom the audit knows; or to what the audit has of it."""
    found, _ = log.page(Wanted(target=name), limit=1, after=None)
    reader = found[0]["reader"] if found else None
    return link(reader) if reader else url_for("audit", target=name)


def _wrong(query: str) -> str | None:
    try:
        ids.read_reader(query)
    except ValueError as error:
        return str(error)
    return None
