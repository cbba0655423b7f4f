"""The Flask app before it has routes: JSON, authorization, the request log and errors."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Flask, g, request
from flask.json.provider import JSONProvider

from service.adapters.observability.logs import log, where
from service.adapters.observability.metrics import Metrics
from service.entrypoints.http import errors, guards
from service.entrypoints.http.request_log import RequestLog

DETAILS = {
    404: "There is no such route; see /openapi.json.",
    500: "The service failed; its log has more under this request's ID.",
}


class _Orjson(JSONProvider):
    """Flask's JSON by orjson: the same bytes as the access route's."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return orjson.loads(s)


class _Web(Flask):
    """Flask with a log line of its own for failures: Flask's would quote what was sent."""

    def log_exception(self, exc_info: Any) -> None:
        """Log a failure of an error handler."""
        log().error("crash", error=exc_info[0].__name__, where=where(exc_info[1]))


def flask_app(metrics: Metrics, keyring: guards.Keyring, requests_log: RequestLog) -> Flask:
    """Return an app without routes."""
    app = _Web("service.entrypoints.http", static_folder=None)
    app.json = _Orjson(app)
    # An ID in a path may hold two slashes in a row; a redirect would be a failure for Stripe.
    app.url_map.merge_slashes = False
    # No route ends with a slash, so nothing is redirected. If lax, an ID that ends with one (`a%2F`) would match another.
    app.url_map.strict_slashes = True

    @app.before_request
    def guard() -> None:
        g.begun = requests_log.begin()
        guards.check(keyring)
        guards.check_slash(keyring)
        guards.check_path(request.environ["PATH_INFO"])

    @app.after_request
    def finish(response: Any) -> Any:
        rule = request.url_rule.rule if request.url_rule is not None else "unknown"
        begun = g.get("begun") or requests_log.begin()
        given = request.headers.get("X-Request-Id")
        response.headers["X-Request-Id"] = requests_log.end(begun, rule, request.method, response.status_code, given)
        if "body" not in g and (request.content_length or "Transfer-Encoding" in request.headers):
            # The server closes a connection whose request body was not read; without this, a client may reuse it.
            response.headers["Connection"] = "close"
        return response

    errors.register(app, errors.response, DETAILS, metrics)
    return app
