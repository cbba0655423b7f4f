"""The web in front of a service: its routes, the hot one ahead of them, and what a web process does beside requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from flask import Flask, g, request
from flask.json.provider import JSONProvider
from werkzeug.routing import PathConverter

from service.adapters.observability.logs import log, where
from service.adapters.observability.metrics import Metrics
from service.adapters.redis.staff.admin_keys import AdminKeyCache, WrongKeyCounter
from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from service.bootstrap import Service
from service.entrypoints.http import errors, guards
from service.entrypoints.http.access_route import AccessRoute
from service.entrypoints.http.admin.application import mount as mount_page
from service.entrypoints.http.api import (
    access,
    approvals,
    audit,
    checkout,
    events,
    grants,
    groups,
    health,
    imports,
    keys,
    passes,
    providers,
    readers,
    reporting,
    seats,
    webhook,
)
from service.entrypoints.http.client_address import ClientAddressMiddleware
from service.entrypoints.http.request_log import NO_ROUTE, RequestLog
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.access import AccessWriter
from service.use_cases.checkout.offer_boxes import OfferBoxes

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


class _AnyId(PathConverter):
    """An ID at the end of a path, which may hold slashes anywhere: `/v1/stories/<any_id:story>`."""

    regex = ".+"
    part_isolating = False


REGISTER = (
    ("website", checkout.register),
    ("website", passes.register_gifts),
    ("website", groups.register),
    ("readers", readers.register),
    ("grants", grants.register),
    ("grants", imports.register_grants),
    ("grants", grants.register_changes),
    ("readers", imports.register_links),
    ("providers", providers.register),
    ("approvals", approvals.register),
    ("seats", seats.register),
    ("passes", passes.register),
    ("decisions", access.register_decisions),
    ("events", events.register),
    ("stripe", webhook.register),
    ("overview", reporting.register),
    ("audit", audit.register),
    ("service", health.register),
)
"""Tag in `/openapi.json`, and what adds the routes under it."""


@dataclass(frozen=True)
class Web:
    """What answers the requests of a process: Flask with all routes, and the access route ahead of it."""

    flask: Flask
    access_route: AccessRoute
    requests_log: RequestLog


def web(service: Service, requests_log: RequestLog | None = None) -> Web:
    """Return the routes of a service."""
    created_keys = AdminKeyCache(service.admin_keys)
    wrong_keys = WrongKeyCounter(service.store, enough=guards.WRONG_KEYS)
    keyring = guards.Keyring(service.settings, created_keys, wrong_keys)
    writer = AccessWriter(service.decision_ids, OfferBoxes(service.settings.catalogue, service.prices))
    requests_log = requests_log or RequestLog(service.metrics)
    app = _flask_app(service.metrics, keyring, requests_log)
    repeated = IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    access.register(ApiRoutes(app, "website", repeated), service, writer)
    keys.register(ApiRoutes(app, "keys", repeated), service, created_keys)
    for tag, register in REGISTER:
        register(ApiRoutes(app, tag, repeated), service)
    pages = mount_page(app, service, keyring, requests_log, repeated, created_keys.invalidate)
    if proxies := service.settings.trusted_proxies:
        app.wsgi_app = ClientAddressMiddleware(app.wsgi_app, proxies)  # type: ignore[method-assign]  # Flask's own way
    _declare_metrics(app, "", requests_log)
    _declare_metrics(pages, "/admin", requests_log)
    requests_log.declare(NO_ROUTE, "GET", (404,))
    return Web(app, AccessRoute(service, writer, keyring, requests_log), requests_log)


def _declare_metrics(app: Flask, prefix: str, requests_log: RequestLog) -> None:
    for rule in app.url_map.iter_rules():
        described = getattr(app.view_functions[rule.endpoint], "described", None)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            usual = (303 if method == "POST" else 200,)
            if described is not None:
                usual = (*described.responses, *described.refuses, 401, 422)
            requests_log.declare(f"{prefix}{rule.rule}", method, usual)


def _flask_app(metrics: Metrics, keyring: guards.Keyring, requests_log: RequestLog) -> Flask:
    """Return an app without routes: JSON, authorization, the request log and errors."""
    app = _Web("service.entrypoints.http", static_folder=None)
    app.json = _Orjson(app)
    app.url_map.converters["any_id"] = _AnyId
    # An ID in a path may hold two slashes in a row; a redirect would be a failure for Stripe.
    app.url_map.merge_slashes = False
    # No route ends with a slash, so nothing is redirected. If lax, an ID that ends with one (`a%2F`) would match another.
    app.url_map.strict_slashes = True

    @app.before_request
    def guard() -> None:
        g.begun = requests_log.begin()
        guards.check(keyring)
        guards.check_slash(keyring)
        guards.check_path()

    @app.after_request
    def finish(response: Any) -> Any:
        rule = request.url_rule.rule if request.url_rule is not None else NO_ROUTE
        begun = g.get("begun") or requests_log.begin()
        given = request.headers.get("X-Request-Id")
        response.headers["X-Request-Id"] = requests_log.end(begun, rule, request.method, response.status_code, given)
        # Most answers are about a reader, and caches may store even a 404 or a 405 by default.
        response.headers.setdefault("Cache-Control", "private, no-store")
        if "body" not in g and (request.content_length or "Transfer-Encoding" in request.headers):
            # The server closes a connection whose request body was not read; without this, a client may reuse it.
            response.headers["Connection"] = "close"
        return response

    errors.register(app, errors.response, DETAILS, metrics)
    return app
