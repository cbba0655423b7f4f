"""`/v1/checkout`, `/v1/portal`: from the upsell box to Stripe's page, and to the page where a reader looks after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.observability.logs import log
from service.adapters.redis.readers.readers import Readers
from service.adapters.stripe.gateway import Gateway
from service.domain.catalogue import Catalogue, Plan
from service.domain.errors import NoSuchObject, NotForSale, StripeRefused, StripeUnavailable
from service.domain.prices import PriceTag
from service.domain.sources import Standing, Subscription
from service.domain.stripe_facts import Ref, Told
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses.schemas import CheckoutIn, PortalIn, ReturnedIn, ReturnedOut, UrlOut
from service.use_cases.checkout import checkout
from service.use_cases.checkout.price_cache import Prices

RUNNING = (Standing.GOOD, Standing.GRACE)
Look = Callable[[str, float, str], bool]
"""Reads an object of Stripe's by its name, and gives whether all that follows from it is in force."""


class Shop:
    """Sells what the catalogue has, to readers of the store, through Stripe."""

    def __init__(
        self, catalogue: Catalogue, readers: Readers, gateway: Gateway | None, prices: Prices, look: Look
    ) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._gateway = gateway
        self._prices = prices
        self._look = look

    def checkout(self, reader: str, plan: str | None, price: str | None, return_url: str, now: float) -> str:
        """The address of a Checkout page; `return_url` is not `astray`. `Problem` 409, 422, 503."""
        back = checkout.as_stripe_takes_it(return_url)
        try:
            word = checkout.chosen_price(self._catalogue, plan=plan, price=price, prices=self._prices)
            if plan is not None:
                self._refuse_holder(reader, self._catalogue.plans[plan], now)
            gateway = self._stripe()
            with stripe_asked():
                tag = self._tag(word)
                sold = checkout.plan_sold(self._catalogue, tag)
                self._refuse_holder(reader, sold, now)
                customer = next(iter(self._readers.list_customers(self._readers.resolve_merged(reader))), None)
                return checkout.open_checkout(
                    gateway,
                    reader=reader,
                    tag=tag,
                    plan=sold,
                    return_url=back,
                    customer=customer,
                    look_at=lambda payer: self._refuse_unheard(gateway, reader, sold, payer, now),
                )
        except NotForSale as error:
            raise invalid([(error.field, error.message)]) from None

    def portal(self, reader: str, return_url: str) -> str:
        """The address of a portal page; `return_url` is not `astray`. `Problem` 404 without a customer, 503."""
        customers = self._readers.list_customers(self._readers.resolve_merged(reader))
        if not customers:
            raise Problem(404, "This reader is no customer at Stripe.")
        gateway = self._stripe()
        with stripe_asked():
            for customer in customers:
                try:
                    return gateway.open_portal(customer, checkout.as_stripe_takes_it(return_url))
                except NoSuchObject:
                    continue
        raise Problem(404, "Stripe no longer has this reader's customer.")

    def settle(self, session: str, now: float) -> bool:
        """Reads what a session has led to, itself first: its word on whose the rest is counts. Gives whether all is in force.

        `Problem` 404 for one that Stripe does not know, so that nothing is kept of invented ones; 503.
        """
        gateway = self._stripe()
        with stripe_asked():
            try:
                told = gateway.read(Ref("session", session))
            except NoSuchObject:
                raise Problem(404, "Stripe knows no such Checkout session.") from None
        bought = [told.ref, *([Ref("subscription", told.subscription)] if told.subscription else [])]
        settled = [self._look(ref.text, now, "checkout") for ref in bought]
        return all(settled)

    def mistakes(self, order: dict[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with an order as it came, beside what its schema says of it."""
        wrong = self.astray(order)
        plan, price = order.get("plan"), order.get("price")
        if isinstance(plan, str | None) and isinstance(price, str | None):
            try:
                checkout.chosen_price(self._catalogue, plan=plan, price=price, prices=self._prices)
            except NotForSale as error:
                wrong.append((error.field, error.message))
        return wrong

    def astray(self, order: dict[str, Any]) -> list[tuple[str, str]]:
        """Why its `return_url` may not be returned to."""
        url = order.get("return_url")
        if not isinstance(url, str):
            return []
        if not checkout.is_plain(url):
            message = "must be a plain address: percent-encoded where not ASCII, blank, quote, brace or backslash"
            return [("return_url", message)]
        if not checkout.on_origin(url, self._catalogue.origins):
            places = ", ".join(self._catalogue.origins) or "(none is configured)"
            return [("return_url", f"must be an address on one of site.origins: {places}")]
        return []

    def _stripe(self) -> Gateway:
        if self._gateway is None:
            detail, title = "No Stripe key is set, so nothing can be sold here.", "Stripe is out of reach"
            raise Problem(503, detail, kind="stripe-unavailable", title=title)
        return self._gateway

    def _tag(self, word: str) -> PriceTag:
        tag = self._prices.find(word)
        if tag is None:
            raise invalid([("price", "Stripe does not know this price")])
        return tag

    def _refuse_holder(self, reader: str, plan: Plan, now: float) -> None:
        """`Problem` 409 for who holds the plan by a running subscription; a grant or a pass hinders no purchase."""
        for kept in self._readers.load_active(self._readers.resolve_merged(reader)):
            if not isinstance(kept.source, Subscription) or kept.source.role != "subscription":
                continue
            for holding in kept.source.holdings(self._catalogue):
                if holding.plan == plan.id and holding.standing_at(now) in RUNNING:
                    detail = f"This reader already holds {plan.name} by a running subscription."
                    raise Problem(409, detail, kind="already-subscribed", title="Already subscribed")

    def _refuse_unheard(self, gateway: Gateway, reader: str, plan: Plan, payer: str, now: float) -> None:
        """The same where no webhook has told of it yet: who has just paid, and presses the button again, pays twice else."""
        running = [told for told in gateway.subscriptions_of(payer) if self._gives(told, plan, now)]
        for told in running:
            self._look(told.ref.text, now, "checkout")
        if running:
            self._refuse_holder(reader, plan, now)

    def _gives(self, told: Told, plan: Plan, now: float) -> bool:
        found = told.source.holdings(self._catalogue) if isinstance(told.source, Subscription) else []
        return any(one.plan == plan.id and one.standing_at(now) in RUNNING for one in found)


@contextmanager
def stripe_asked() -> Iterator[None]:
    """Tells trouble with Stripe as the contract does: out of reach is 503, and so is a key that Stripe refuses."""
    try:
        yield
    except StripeUnavailable as error:
        headers = {"Retry-After": str(max(1, round(error.retry_after)))}
        detail = "Stripe cannot be reached now; try again."
        raise Problem(503, detail, kind="stripe-unavailable", title="Stripe is out of reach", headers=headers) from None
    except (StripeRefused, NoSuchObject) as error:
        log().error("stripe_refused", why=error.why)
        detail = f"Stripe refused what it was asked ({error.why}); `paywall doctor` tells more."
        raise Problem(503, detail, kind="stripe-refused", title="Stripe refused") from None


def blueprint(shop: Shop, clock: Callable[[], float]) -> Blueprint:
    """What the website calls to sell."""
    blp = Blueprint("selling", __name__)
    checkout_in, returned_in, portal_in = CheckoutIn(), ReturnedIn(), PortalIn()

    @blp.post("/v1/checkout")
    @described(takes=CheckoutIn, gives={200: UrlOut}, refuses=(409,), tag="website")
    @guards.site
    def open_checkout() -> Response:
        """The address of a Checkout page for a plan or a price."""
        data = bodies.load(checkout_in, further=shop.mistakes)
        plan, price = data.get("plan"), data.get("price")
        return jsonify({"url": shop.checkout(data["reader"], plan, price, data["return_url"], clock())})

    @blp.post("/v1/checkout/returned")
    @described(takes=ReturnedIn, gives={200: ReturnedOut}, refuses=(404,), tag="website")
    @guards.site
    def returned() -> Response:
        """A reader is back from the page to pay on: what she bought opens at once, even if the webhook is late."""
        session = bodies.load(returned_in)["session"]
        now = clock()
        return jsonify({"session": session, "settled": shop.settle(session, now)})

    @blp.post("/v1/portal")
    @described(takes=PortalIn, gives={200: UrlOut}, refuses=(404,), tag="website")
    @guards.site
    def open_portal() -> Response:
        """The address of the page where a reader looks after her subscription."""
        data = bodies.load(portal_in, further=shop.astray)
        return jsonify({"url": shop.portal(data["reader"], data["return_url"])})

    return blp
