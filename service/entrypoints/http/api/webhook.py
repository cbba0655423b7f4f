"""`POST /v1/stripe/webhook`: signed by Stripe, recorded durably, worked on, and only then acknowledged."""

from __future__ import annotations

from flask import request

from service.adapters.observability.logs import log
from service.adapters.stripe.webhook import TOLERANCE, NotStripe, check_header, verify_delivery
from service.bootstrap import Service
from service.domain.errors import StoreUnavailable
from service.entrypoints.http import inputs
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import JsonObject
from service.entrypoints.responses.stripe_objects import ReceiptOut

MOST_BYTES = 1024 * 1024
EVENT = {
    "id": "evt_1NG8Du2eZvKYlo2C",
    "object": "event",
    "type": "customer.subscription.updated",
    "created": 1796033698,
    "livemode": False,
    "data": {"object": {"id": "sub_1MowQVLkdIwHu7ix", "object": "subscription", "status": "active"}},
}
ANY_BODY = {"application/json": {"schema": {"type": "object"}, "example": EVENT}}


def register(routes: ApiRoutes, service: Service) -> None:
    metrics = service.metrics

    @routes.add("POST /v1/stripe/webhook", None, ReceiptOut, takes=ANY_BODY, refuses=(400, 413, 503))
    def stripe_webhook() -> JsonObject:
        """Take an event from Stripe. 200 means that it is recorded, or that it doesn't concern this service."""
        now = service.clock()
        inputs.check_declared_length(MOST_BYTES)
        header, secrets = request.headers.get("Stripe-Signature"), service.settings.stripe_webhook_secrets
        try:
            check_header(header, secrets)  # A slow body occupies a thread, so whoever cannot have signed it sends none.
            envelope = verify_delivery(inputs.raw(MOST_BYTES), header, secrets, now)
        except NotStripe as error:
            metrics.webhooks.labels(error.why).inc()
            detail = f"This was not signed by Stripe, or is not an event ({error.why})."
            if error.age is None:
                log().warning("webhook_refused", why=error.why)
            else:
                log().warning("webhook_refused", why=error.why, signed_s_ago=error.age)
                service.deliveries.note_late(error.age, now)
                when = f"{error.age} s ago by the clock of this machine, and {TOLERANCE} s are the limit ({error.why})"
                detail = f"Stripe signed this {when}. Synchronize the clock if it is wrong; Stripe will send it again."
            raise Problem(400, detail, kind="not-stripe", title="Not from Stripe") from None
        try:
            receipt = service.deliveries.receive_event(envelope, now)
        except StoreUnavailable:
            metrics.webhooks.labels("unrecorded").inc()
            raise
        if receipt.prices:
            service.prices_changed.increment()
        metrics.webhooks.labels("repeat" if receipt.known else receipt.state).inc()
        return ReceiptOut.write(receipt)
