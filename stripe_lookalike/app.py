"""The Flask app of the look-alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flask import Flask, Response, abort, jsonify, request

from stripe_lookalike import control, request_pipeline
from stripe_lookalike.domain.endpoints import Webhook
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages import backstage, checkout, portal

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_lookalike(
    *,
    webhooks: Sequence[Webhook] = (),
    clock_file: Path | None = None,
    site: str | None = None,
) -> Flask:
    """Create an in-memory look-alike of Stripe's API 2026-10-28.endive, with the demo newspaper's products and prices.

    - `webhooks`: endpoints to register at the start.
    - `clock_file`: a file to keep the clock's offset in, in seconds, for processes that follow this clock. Webhooks are
      then signed with this clock's time.
    - `site`: the URL that the backstage page links back to.

    `app.extensions["lookalike"].delivery.start()` starts the webhook deliveries; `serve_lookalike` calls it.
    """
    app = Flask(__name__)
    lookalike = Lookalike(webhooks, clock_file)
    app.extensions["lookalike"] = lookalike
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it, its base class does not say so
    request_pipeline.register_routes(app, lookalike)
    app.register_blueprint(control.blueprint(lookalike))
    app.register_blueprint(checkout.blueprint(lookalike))
    app.register_blueprint(portal.blueprint(lookalike))
    app.register_blueprint(backstage.blueprint(lookalike, site))

    @app.before_request
    def refuse_other_hosts() -> None:
        """Refuse other host names, so that no foreign web page reaches it through your browser (DNS rebinding)."""
        request.get_data()  # an unread body would corrupt the next request on this connection
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
