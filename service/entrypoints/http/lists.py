"""Lists over HTTP: the page that a request asks for, and a page as JSON or, where Accept asks for it, as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request
from marshmallow import Schema, fields
from werkzeug.datastructures import MIMEAccept

from service.bootstrap import Service
from service.entrypoints.http.inputs import wrong_names
from service.entrypoints.http.routes import ApiRoutes, Parameter, View, query
from service.entrypoints.responses.fields import ResponseSchema
from service.entrypoints.responses.lists import ListKind
from service.entrypoints.responses.paging import Page

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a formula begins in a spreadsheet."""


def json_or_csv(schema: type[Schema], **example: str) -> Mapping[int, Mapping[str, Any]]:
    """Describe the answer in `/openapi.json`: this schema, or a file, with an `example` unless it is a list."""
    return {200: {"application/json": {"schema": schema}, "text/csv": {"schema": {"type": "string"}, **example}}}


LIMIT = query(
    "limit", "How many entries the page has at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
)
AFTER = query("after", "`next` of the last answer: the page that follows it.")


def filters_of(kind: ListKind) -> tuple[Parameter, ...]:
    """Return the parameters that filter a list."""
    return tuple(query(name, one.description, one.schema) for name, one in kind.filters.items())


def add(routes: ApiRoutes, rule: str, kind: ListKind) -> Callable[[View], View]:
    """Add the route of a list, which every admin can read; its answer is a page as JSON, or a file."""
    items = fields.List(fields.Nested(kind.schema), required=True)
    following = fields.String(required=True, allow_none=True)
    name = f"{kind.schema.__name__.removesuffix('Out')}List"
    page = ResponseSchema.from_dict({"items": items, "next": following}, name=name)
    return routes.add(rule, "viewer", json_or_csv(page), parameters=(LIMIT, AFTER, *filters_of(kind)))


def requested_page(kind: ListKind) -> Page:
    """Return the page that this request asks for. Raises: `InvalidFields` with every parameter at fault."""
    wrong = wrong_names(("limit", "after", *kind.filters))
    named = {name for name, _ in wrong}
    given = {name: value for name, value in request.args.items() if name not in named}
    return kind.read_page(given, wrong=wrong)


def respond(kind: ListKind, service: Service) -> Response:
    """Return the page that this request asks for, as JSON or CSV. Raises: `InvalidFields`."""
    found = kind.load(service, requested_page(kind))
    if wants_csv():
        return csv_file(kind.columns, found.items, kind.name, found.next)
    return jsonify(found.as_json())


def wants_csv() -> bool:
    """Return whether this request prefers CSV to JSON; `text/csv; charset=utf-8` counts too."""
    accepted: MIMEAccept = request.accept_mimetypes
    with_parameters = (quality for kind, quality in accepted if kind.lower().startswith("text/csv;"))
    return max(accepted["text/csv"], *with_parameters, 0) > accepted["application/json"]


def csv_file(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], name: str, following: str | None = None
) -> Response:
    """Return rows as a file; a `Link` header leads to the next page, which has no place in CSV."""
    response = Response(csv_text(columns, rows), content_type="text/csv; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    if following is not None:
        arguments = {**request.args.to_dict(), "after": following}
        response.headers["Link"] = f'<{request.path}?{urlencode(arguments)}>; rel="next"'
    return response


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    writer.writerows([csv_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()


def csv_cell(value: Any) -> str:
    """Return a value as a cell: nothing for null, JSON for what has parts, and a `'` before what could be a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
