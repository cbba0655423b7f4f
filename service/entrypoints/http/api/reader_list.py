"""`GET /v1/readers`: the list of readers."""

from __future__ import annotations

from typing import get_args

from flask import Response

from service.bootstrap import Service
from service.domain.sources import SourceType
from service.entrypoints.http import lists
from service.entrypoints.http.routes import AFTER, ENDS_BEFORE, LIMIT, ApiRoutes, query
from service.entrypoints.responses.lists import READERS
from service.entrypoints.responses.readers import STANDINGS, ListedReaderOut

_TEXT = {"type": "string"}
FILTERS = (
    query("prefix", "Only readers whose ID begins with this.", _TEXT),
    query("plan", "Only readers with this plan in `plans`.", _TEXT),
    query(
        "source", "Only readers with this type in `sources`.", {"type": "string", "enum": list(get_args(SourceType))}
    ),
    query("standing", "Only readers of this standing.", {"type": "string", "enum": list(STANDINGS)}),
    ENDS_BEFORE,
    query("access", "Only readers who hold a feature now, or only those who hold none.", {"type": "boolean"}),
)


def register(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /v1/readers", "viewer", lists.list_of(ListedReaderOut), parameters=(LIMIT, AFTER, *FILTERS))
    def list_readers() -> Response:
        """List every reader with a source, also a past or a scheduled one, by ID.

        `plans`, `sources`, and `until` are those of the live sources. If none is live, they are those of all.
        """
        return lists.answer(READERS, service)
