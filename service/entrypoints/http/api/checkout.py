"""`/v1/checkout`, `/v1/portal`: from the upsell box to Stripe's page, and to the page where readers manage a subscription."""

from __future__ import annotations

from service.bootstrap import Service
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.checkout import CheckoutIn, PortalIn, ReturnedIn, ReturnedOut, UrlOut
from service.entrypoints.responses.fields import JsonObject
from service.use_cases.checkout.checkout_session import Order


def register(routes: ApiRoutes, service: Service) -> None:
    purchases = service.purchases

    @routes.add("POST /v1/checkout", "site", UrlOut, body=CheckoutIn, check=purchases.order_mistakes, refuses=(409,))
    def open_checkout(data: JsonObject) -> JsonObject:
        """Open a page of Stripe Checkout for a plan or a price."""
        return UrlOut.write({"url": purchases.open_checkout(Order(**data), service.clock())})

    @routes.add("POST /v1/checkout/returned", "site", ReturnedOut, body=ReturnedIn, refuses=(404,))
    def returned(data: JsonObject) -> JsonObject:
        """Put a purchase into effect when the reader is back from Stripe, even if the webhook is late."""
        session = data["session"]
        return ReturnedOut.write({"session": session, "settled": purchases.settle(session, service.clock())})

    @routes.add("POST /v1/portal", "site", UrlOut, body=PortalIn, check=purchases.address_mistakes, refuses=(404,))
    def open_portal(data: JsonObject) -> JsonObject:
        """Open the page at Stripe where a reader manages their subscription."""
        return UrlOut.write({"url": purchases.open_portal(data["reader"], data["return_url"])})
