"""One field that finds everything by its exact id: a reader, or what Stripe and this service name with a prefix.

Nothing here looks through the store's keys: an id either leads somewhere by an index, or is taken for a reader's.
"""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import urlencode

from flask import Flask, Response, redirect, url_for

from service.web import fields
from service.web.admin.frame import Frame, asked, needs, show
from service.web.admin.reader import link

KINDS = {"cus": "customer", "sub": "subscription", "cs": "session"}
"""The beginning of an id of Stripe's → the kind of object that is kept under it."""

VIEWS = (
    (re.compile(r"evt_.+"), "event", "id"),
    (re.compile(r"sp_.+"), "story_pass", "id"),
    (re.compile(r"im_[0-9a-f]{20,24}"), "import_shown", "id"),
    (re.compile(r"gr_[0-9a-f]{20,24}"), "audit", "target"),  # a grant lies with its reader; the audit knows whose it is
)
"""How an id of ours or Stripe's looks, the view that shows it, and the field that takes it."""


def register(page: Flask, frame: Frame) -> None:
    """Adds the search."""
    house = frame.house

    @page.get("/readers")
    @needs("viewer")
    def readers() -> Response:
        query = asked("q")
        if query is None:
            return show("search.html", query=None, wrong=None, found=None)
        to = _place(query)
        if to is not None:
            return cast(Response, redirect(to, 303))
        kind = KINDS.get(query.partition("_")[0])
        known = kind is not None and house.engine.objects.load(f"{kind}:{query}").told is not None
        wrong = _wrong(query)
        return show("search.html", status=422 if wrong else 200, query=query, wrong=wrong, found=kind, known=known)

    def _place(query: str) -> str | None:
        """Where an id leads; `None` for what is of Stripe's and nobody's here, and for what can be no id."""
        head = query.partition("_")[0]
        for looks, view, field in VIEWS:
            if looks.fullmatch(query):
                return f"{url_for(view)}?{urlencode({field: query})}"
        if head in KINDS:
            owner = house.engine.objects.load(f"{KINDS[head]}:{query}").owner.reader
            return link(owner) if owner else None
        if len(query) > 128 and house.governance.why.decision(query, frame.now) is not None:
            return url_for("decision", id=query)
        return None if _wrong(query) else link(query)


def _wrong(query: str) -> str | None:
    try:
        fields.read_reader(query)
    except ValueError as error:
        return str(error)
    return None
