"""Errors as RFC 9457 problems. `service.entrypoints.responses.errors` has their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from service.adapters.observability.logs import log, where
from service.adapters.observability.metrics import Metrics
from service.domain.errors import DomainError, NoSuchObject, StripeRefused
from service.entrypoints.responses.errors import MOST_ERRORS, Problem, problem_of, shown_name
from service.entrypoints.responses.imports import write_mistakes

RETRY_AFTER = {429: "60", 503: "1"}


def response(problem: Problem) -> Response:
    """Return the problem as `application/problem+json`."""
    errors: list[dict[str, Any]] = [
        {"field": shown_name(field), "message": message} for field, message in problem.errors[:MOST_ERRORS]
    ]
    if problem.rows:
        errors = write_mistakes(problem.rows)
    body = {
        "type": f"urn:paywall:problem:{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "errors": errors,
    }
    answer = Response(orjson.dumps(body), problem.status, content_type="application/problem+json")
    answer.headers.extend(problem.headers)
    if problem.status in RETRY_AFTER:
        answer.headers.setdefault("Retry-After", RETRY_AFTER[problem.status])
    if problem.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def register(app: Flask, show: Callable[[Problem], Response], details: Mapping[int, str], metrics: Metrics) -> None:
    """Have `show` answer every error of an app. `details`: a message for each status of werkzeug's own errors, and for 500."""

    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return show(error)

    @app.errorhandler(DomainError)
    def domain(error: DomainError) -> Response:
        if isinstance(error, StripeRefused | NoSuchObject):
            log().error("stripe_refused", why=error.why)
        return show(problem_of(error))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        if isinstance(error, InternalServerError) and error.original_exception is not None:
            metrics.crashes.inc()  # An error of a handler, or after the view; Flask has logged it.
        status = error.code or 500
        kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        return show(Problem(status, details.get(status) or error.description or error.name, headers=kept))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        metrics.crashes.inc()
        log().error("crash", error=type(error).__name__, where=where(error))
        return show(Problem(500, details[500]))
