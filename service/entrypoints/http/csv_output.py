"""Lists as CSV, where `Accept: text/csv` asks for it; no cell of which a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from marshmallow import Schema
from werkzeug.datastructures import MIMEAccept

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def or_csv(schema: type[Schema]) -> Mapping[str, Any]:
    """How `/openapi.json` tells of it: this, or a file."""
    return {"application/json": {"schema": schema}, "text/csv": {"schema": {"type": "string"}}}


def wanted() -> bool:
    """Whether this request would rather have CSV than JSON; `text/csv; charset=utf-8` asks for it, too."""
    accepted: MIMEAccept = request.accept_mimetypes
    with_parameters = (quality for kind, quality in accepted if kind.lower().startswith("text/csv;"))
    return max(accepted["text/csv"], *with_parameters, 0) > accepted["application/json"]


def cell(value: Any) -> str:
    """A value as a cell: nothing for null, JSON for what has parts, and a `'` before what could be a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header and the rows, as RFC 4180 has it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])
    return out.getvalue()


def answer(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], name: str, following: str | None) -> Response:
    """A page of a list as a file; the next page is in the `Link` header, as it has no place in CSV."""
    response = Response(written(columns, rows), content_type="text/csv; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response.headers["Cache-Control"] = "private, no-store"
    if following is not None:
        arguments = {**request.args.to_dict(), "after": following}
        response.headers["Link"] = f'<{request.path}?{urlencode(arguments)}>; rel="next"'
    return response
