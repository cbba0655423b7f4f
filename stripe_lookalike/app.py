"""The Flask app of a look-alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flask import Flask, Response, abort, jsonify, request

from stripe_lookalike import control, request_pipeline
from stripe_lookalike.domain.endpoints import Webhook
from stripe_lookalike.errors import Json
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages import backstage, checkout, portal

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_lookalike(
    *,
    seed_catalog: bool = True,
    webhooks: Sequence[Webhook] = (),
    openapi: Json | None = None,
    clock_file: Path | None = None,
    site: str | None = None,
) -> Flask:
    """A look-alike of Stripe (API 2026-10-28.endive) in memory.

    `seed_catalog`: with the demo newspaper's products and prices. `webhooks`: endpoints registered from the start.
    `openapi`: Stripe's description, where every request's parameters are to be checked against it. `clock_file`: where
    it writes by how many seconds its clock is ahead, for those who follow it; webhooks are then signed by it too.
    `site`: the address that the backstage page leads back to. Deliveries begin with
    `app.extensions["lookalike"].delivery.start()`, which `serve_lookalike` does.
    """
    app = Flask(__name__)
    lookalike = Lookalike(seed_catalog, webhooks, openapi, clock_file)
    app.extensions["lookalike"] = lookalike
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it, its base class does not say so
    request_pipeline.install(app, lookalike)
    app.register_blueprint(control.blueprint(lookalike))
    app.register_blueprint(checkout.blueprint(lookalike))
    app.register_blueprint(portal.blueprint(lookalike))
    app.register_blueprint(backstage.blueprint(lookalike, site))

    @app.before_request
    def stay_at_home() -> None:
        """Refuses other names, so that no web page elsewhere reaches it through a visitor's browser."""
        request.get_data()  # drained, or a connection that is kept alive would be out of step
        if request.host.rsplit(":", 1)[0] not in _LOOPBACK:
            abort(403)

    @app.get("/")
    def about() -> Response:
        return jsonify(
            {
                "what": "a look-alike of Stripe's API; no money moves",
                "control": "/_lookalike/clock",
                "backstage": "/backstage",
            }
        )

    return app
