"""Lists on the page: the API's own pages, with filters that are empty where a form left them so."""

from __future__ import annotations

from collections.abc import Collection

from flask import request

from service.domain import ids
from service.entrypoints.http import paging
from service.entrypoints.http.admin.frame import asked
from service.entrypoints.http.errors import invalid

SHOWN = 25
"""Entries of a list on one page: what one reads before going on."""


def page_of(name: str, filters: Collection[str] = (), limit: int = paging.USUAL) -> paging.Page:
    """The page that the address asks for. `Problem` 422; what else stands in the address does not matter here."""
    wrong: list[tuple[str, str]] = []
    found: dict[str, str] = {}
    after = None
    for field in filters:
        given = asked(field)
        if given is not None:
            try:
                found[field] = ids.read_id(given)
            except ValueError as error:
                wrong.append((field, str(error)))
    if asked("after") is not None:
        try:
            after = paging.place_in(request.args["after"], name)
        except ValueError as error:
            wrong.append(("after", str(error)))
    if wrong:
        raise invalid(wrong)
    return paging.Page(limit, after, found)


def without_after() -> dict[str, str]:
    """What stands in the address besides the place in the list; for links to other pages of it."""
    return {name: value for name, value in request.args.items() if name != "after" and value}
