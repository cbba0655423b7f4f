"""`/v1/checkout`, `/v1/portal`: from the upsell box to Stripe's page, and to the page where readers manage a subscription."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses.checkout import (
    CheckoutIn,
    PortalIn,
    ReturnedIn,
    ReturnedOut,
    UrlOut,
    write_returned,
    write_url,
)


def blueprint(service: Service) -> Blueprint:
    """Return what the website calls to sell."""
    blp = Blueprint("checkout", __name__)
    purchases, checkout_in, returned_in, portal_in = service.purchases, CheckoutIn(), ReturnedIn(), PortalIn()

    @blp.post("/v1/checkout")
    @described(takes=CheckoutIn, gives={200: UrlOut}, refuses=(409,), tag="website")
    @guards.site
    def open_checkout() -> Response:
        """The address of a Checkout page for a plan or a price."""
        data = bodies.load(checkout_in, further=purchases.order_mistakes)
        plan, price, back = data.get("plan"), data.get("price"), data["return_url"]
        return jsonify(write_url(purchases.open_checkout(data["reader"], plan, price, back, service.clock())))

    @blp.post("/v1/checkout/returned")
    @described(takes=ReturnedIn, gives={200: ReturnedOut}, refuses=(404,), tag="website")
    @guards.site
    def returned() -> Response:
        """A reader is back from the Checkout page: what they bought opens at once, even if the webhook is late."""
        session = bodies.load(returned_in)["session"]
        return jsonify(write_returned(session, settled=purchases.settle(session, service.clock())))

    @blp.post("/v1/portal")
    @described(takes=PortalIn, gives={200: UrlOut}, refuses=(404,), tag="website")
    @guards.site
    def open_portal() -> Response:
        """The address of the page where a reader manages their subscription."""
        data = bodies.load(portal_in, further=purchases.return_url_mistakes)
        return jsonify(write_url(purchases.open_portal(data["reader"], data["return_url"])))

    return blp
