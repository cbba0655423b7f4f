"""`/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs`: for everybody who runs or reads the service."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, current_app, jsonify, render_template

from service.adapters.observability.metrics import Metrics
from service.entrypoints.http import guards
from service.entrypoints.http.openapi_description import Description, described
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.shared_schemas import StatusOut, write_status

TEXT = {"text/plain": {"schema": {"type": "string"}}}
HTML = {"text/html": {"schema": {"type": "string"}}}
ANY_JSON = {"application/json": {"schema": {"type": "object"}}}


def blueprint(ready: Callable[[], bool], metrics: Metrics, description: Description) -> Blueprint:
    """What takes no key."""
    blp = Blueprint("health", __name__, template_folder="templates")

    @blp.get("/healthz")
    @described(gives={200: StatusOut})
    @guards.open_to_all
    def healthz() -> Response:
        """The process lives: balancers send traffic by this one."""
        return jsonify(write_status("ok"))

    @blp.get("/readyz")
    @described(gives={200: StatusOut}, refuses=(503,))
    @guards.open_to_all
    def readyz() -> Response:
        """The store is reachable and its scripts are loaded: for alerts and deploys, not for balancers."""
        if not ready():
            raise Problem(503, "The store cannot be reached; /v1/access answers as [failure] says.")
        return jsonify(write_status("ready"))

    @blp.get("/metrics")
    @described(gives={200: TEXT})
    @guards.open_to_all
    def show_metrics() -> Response:
        """Prometheus metrics of all processes."""
        return Response(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @blp.get("/openapi.json")
    @described(gives={200: ANY_JSON})
    @guards.open_to_all
    def openapi() -> Response:
        """This description."""
        return jsonify(description.document(current_app))

    @blp.get("/docs")
    @described(gives={200: HTML})
    @guards.open_to_all
    def docs() -> Response:
        """The description as a page."""
        page = Response(render_template("docs.html", spec=description.document(current_app)))
        page.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
        return page

    @blp.get("/docs.css")
    @guards.open_to_all
    def docs_style() -> Response:
        return Response(render_template("docs.css"), content_type="text/css; charset=utf-8")

    return blp
