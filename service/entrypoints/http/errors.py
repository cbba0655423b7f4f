"""Refusals, told as RFC 9457 problems. The one place where an error becomes HTTP.

Problem                       anything the service refuses, with status, type, title, detail, and the fields at fault
StoreUnavailable              503: the store is away; nothing was changed; try again
marshmallow's ValidationError 422, every field named
werkzeug's HTTPException      its own status
anything else                 500, logged with the request's id, told without detail
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from flask import Flask, Response
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from service.domain.errors import NewerSchema, StoreUnavailable

TYPES: dict[int, tuple[str, str]] = {
    400: ("not-json", "The body is not JSON"),
    401: ("no-key", "A valid key is required"),
    403: ("forbidden", "This key may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This route does not take that method"),
    409: ("conflict", "It does not fit with what is there"),
    413: ("too-large", "The body is too large"),
    415: ("not-json-type", "The body must be application/json"),
    422: ("invalid", "A field is wrong"),
    429: ("too-many", "Too many wrong keys"),
    500: ("internal", "Something went wrong here"),
    503: ("store-unavailable", "The store cannot be reached"),
}
"""Status → the problem's stable type and title. A route may name a type of its own."""

RETRY_AFTER = {429: "60", 503: "1"}

MOST_ERRORS = 500
"""Fields at fault that are named one by one; whoever has more has sent something else altogether."""
_LONGEST_NAME = 200


class Problem(Exception):
    """A refusal. `errors` are pairs of a field (`story.parts.0`) and what is wrong with it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Iterable[tuple[str, str]] = (),
        kind: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.kind = kind
        self.title = title
        self.headers = dict(headers or {})


def response(problem: Problem) -> Response:
    """The problem as `application/problem+json`."""
    kind, title = TYPES.get(problem.status, ("error", "The request was refused"))
    body: dict[str, Any] = {
        "type": f"urn:paywall:problem:{problem.kind or kind}",
        "title": problem.title or title,
        "status": problem.status,
        "detail": problem.detail,
        "errors": [{"field": _shown(field), "message": message} for field, message in problem.errors[:MOST_ERRORS]],
    }
    answer = Response(orjson.dumps(body), problem.status, content_type="application/problem+json")
    answer.headers["Cache-Control"] = "private, no-store"  # a cache may keep a 404 or a 405 without being told to
    answer.headers.extend(problem.headers)
    if problem.status in RETRY_AFTER:
        answer.headers.setdefault("Retry-After", RETRY_AFTER[problem.status])
    if problem.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _shown(name: str) -> str:
    """A field's name as it can be told: the caller chose it, so it may be endless, or hold half a surrogate pair."""
    return name[:_LONGEST_NAME].encode("utf-8", "backslashreplace").decode()


def field_errors(messages: Any, place: str = "") -> list[tuple[str, str]]:
    """marshmallow's nested messages as pairs of a dotted field and a sentence."""
    if isinstance(messages, str):
        return [(place, messages)]
    if isinstance(messages, Mapping):
        found = []
        for name, inner in messages.items():
            # Of the whole; unless somebody sent a field of that name.
            whole = name == "_schema" and inner != ["Unknown field."]
            inside = place if whole else f"{place}.{name}" if place else str(name)
            found += field_errors(inner, inside)
        return found
    return [pair for inner in messages for pair in field_errors(inner, place)]


def invalid(pairs: Iterable[tuple[str, str]]) -> Problem:
    """A 422 that names every field at fault."""
    errors = [(field or "body", message) for field, message in pairs]
    detail = "; ".join(f"{_shown(field)}: {message}" for field, message in errors[:5])
    more = len(errors) - MOST_ERRORS
    return Problem(422, f"{detail}; and {more} more than are named" if more > 0 else detail, errors=errors)


def register(app: Flask, on_crash: Callable[[Exception], None]) -> None:
    """Hands every error of the app to this file; `on_crash` is told of those that nobody foresaw."""

    @app.errorhandler(Problem)
    def told(problem: Problem) -> Response:
        return response(problem)

    @app.errorhandler(StoreUnavailable)
    def away(_: StoreUnavailable) -> Response:
        return response(Problem(503, "The store cannot be reached or written now; nothing was changed. Try again."))

    @app.errorhandler(NewerSchema)
    def newer(_: NewerSchema) -> Response:
        detail = "The store holds records of a newer version of this service; finish the upgrade and try again."
        return response(Problem(503, detail, kind="newer-schema", title="The store is newer than this service"))

    @app.errorhandler(ValidationError)
    def wrong(error: ValidationError) -> Response:
        return response(invalid(field_errors(error.messages)))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        problem = Problem(status, error.description or error.name)
        if status == 404:
            problem.detail = "There is no such route; see /openapi.json."
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After"):
                problem.headers[name] = value
        return response(problem)

    @app.errorhandler(Exception)
    def crash(error: Exception) -> Response:
        on_crash(error)
        return response(Problem(500, "The service failed; its log tells more under this request's id."))
