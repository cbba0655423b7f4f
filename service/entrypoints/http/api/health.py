"""`/`, `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs` and the public keys: routes that take no key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from flask import Response, current_app, jsonify, render_template, request
from marshmallow import fields

from service.bootstrap import Service
from service.entrypoints.http.openapi.description import describe_api
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import JsonObject, ResponseSchema
from service.entrypoints.responses.story_passes import JwksOut

METRICS = {
    "text/plain": {
        "schema": {"type": "string"},
        "example": 'paywall_decisions_total{reason="metered",show="full"} 298.0\n',
    }
}
HTML = {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}}
ANY_JSON = {"application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}}


class StatusOut(ResponseSchema):
    status = fields.String(required=True)


class HomeLinkOut(ResponseSchema):
    path = fields.String(required=True)
    name = fields.String(required=True)
    purpose = fields.String(required=True)


class HomeOut(ResponseSchema):
    links = fields.List(fields.Nested(HomeLinkOut), required=True)


LINKS = (
    ("/admin/", "Staff page", "readers, grants, and what needs attention"),
    ("/docs", "API documentation", "every route, for people"),
    ("/openapi.json", "OpenAPI", "the same for programs"),
    ("/healthz", "Health", "whether this process lives"),
    ("/readyz", "Readiness", "whether the store can be reached"),
    ("/metrics", "Metrics", "for Prometheus"),
)
"""Path, name and purpose of what can be opened in a browser."""

KEYS_KEPT = 300
"""Seconds for which an edge may cache the public keys; after a rotation of secrets the old ones still verify."""

DESCRIPTION_KEPT = 300
"""Seconds for which a browser may show the description of the API without asking; then it asks by the ETag."""

DOCS_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'"}


def _cached_page(body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a page that stays the same while the process lives, or 304 if the request's `If-None-Match` has its ETag."""
    answer = Response(body, content_type=content_type, headers=headers)
    answer.headers["Cache-Control"] = f"public, max-age={DESCRIPTION_KEPT}"
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes that take no key."""
    _register_home(routes, service)

    # A page takes tens of milliseconds of a core, and needs no key: each is rendered once.
    @cache
    def description() -> dict[str, Any]:
        return describe_api(routes.app, f"{service.settings.catalogue.site_name}: paywall")

    pretty = partial(json.dumps, indent=2, ensure_ascii=False)
    openapi_page = cache(lambda: current_app.json.dumps(description()).encode())
    docs_page = cache(lambda: render_template("docs.html", spec=description(), pretty=pretty).encode())
    style_page = cache(lambda: render_template("docs.css").encode())

    @routes.add("GET /healthz", None, StatusOut)
    def healthz() -> JsonObject:
        """Report that the process lives. Use this route for load balancing."""
        return StatusOut.write({"status": "ok"})

    @routes.add("GET /readyz", None, StatusOut, refuses=(503,))
    def readyz() -> JsonObject:
        """Report whether the store is reachable. Use this route for alerts and deploys, not for load balancing."""
        if not service.store.link.ready():
            raise Problem(503, "The store cannot be reached; /v1/access answers as [failure] says.")
        return StatusOut.write({"status": "ready"})

    @routes.add("GET /metrics", None, {200: METRICS})
    def show_metrics() -> Response:
        """Return the Prometheus metrics of all processes."""
        return Response(service.metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.add("GET /openapi.json", None, {200: ANY_JSON})
    def openapi() -> Response:
        """Return this description."""
        return _cached_page(openapi_page(), "application/json")

    @routes.add("GET /docs", None, {200: HTML})
    def docs() -> Response:
        """Show this description as a page."""
        return _cached_page(docs_page(), "text/html; charset=utf-8", DOCS_HEADERS)

    @routes.add("GET /docs.css", None, {})
    def docs_style() -> Response:
        return _cached_page(style_page(), "text/css; charset=utf-8")

    @routes.add("GET /.well-known/jwks.json", None, JwksOut, refuses=(503,))
    def jwks() -> Response:
        """Return the public keys of gift links, for an edge that rejects forged or expired links."""
        answer = jsonify(service.pass_keys.load())
        answer.headers["Cache-Control"] = f"public, max-age={KEYS_KEPT}"
        return answer


def _register_home(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /", None, HomeOut)
    def home() -> Response | JsonObject:
        """The addresses of this service, as a page for browsers."""
        links = [dict(zip(("path", "name", "purpose"), link, strict=True)) for link in LINKS]
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            page = render_template("home.html", title=f"{service.settings.catalogue.site_name}: paywall", links=links)
            return Response(page, content_type="text/html; charset=utf-8", headers=DOCS_HEADERS)
        return HomeOut.write({"links": links})
