"""`/backstage`: buttons for what time or a bank does: move the clock, fail a payment, refund it, hold webhooks."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from stripe_lookalike.domain import catalogue, customers, due_work, lifecycle, refunds
from stripe_lookalike.errors import ApiError, Json, invalid
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages.formatting import day
from stripe_lookalike.pages.portal import summarize
from stripe_lookalike.validation import changed
from stripe_lookalike.world import World

MONTH = 31 * 86_400 + 2 * 3_600  # a renewal is charged within an hour or so
LATER = (("An hour later", 3_600), ("A day later", 86_400), ("A week later", 7 * 86_400), ("A month later", MONTH))
ENDS = (("cancel", "Cancel"), ("unpaid", "Mark unpaid"), ("past_due", "Leave past due"))
DELIVERY = {"normal": "Deliver", "hold": "Deliver later", "off": "Lose them"}


def blueprint(lookalike: Lookalike, site: str | None) -> Blueprint:
    """Return the page, which links back to `site`."""
    pages = Blueprint("lookalike_backstage", __name__, template_folder="templates")

    @pages.get("/backstage")
    def show() -> tuple[str, int]:
        with lookalike.world.lock:
            due_work.run_due(lookalike.world)
            return _page(lookalike, site)

    @pages.post("/backstage")
    def act() -> Response | tuple[str, int]:
        with lookalike.world.lock:
            due_work.run_due(lookalike.world)
            try:
                for name, value in request.form.items():
                    _action(name)(lookalike, value)
            except (ApiError, ValueError) as error:
                return _page(lookalike, site, str(error), 400)
            return redirect(request.path, code=303)

    return pages


Action = Callable[[Lookalike, str], object]


def _action(name: str) -> Action:
    if name not in _ACTIONS:
        raise invalid(f"There is no action named {name}.")
    return _ACTIONS[name]


def _later(lookalike: Lookalike, seconds: str) -> None:
    due_work.move_clock(lookalike.world, lookalike.world.now() + max(0, int(seconds)))


def _card(last4: str) -> Action:
    def change(lookalike: Lookalike, customer_id: str) -> None:
        customers.add_card(lookalike.world, customers.existing(lookalike.world, customer_id), last4)

    return change


def _refund(lookalike: Lookalike, charge_id: str) -> None:
    world = lookalike.world
    refunds.refund(world, world.get("charge", charge_id), None, "requested_by_customer", {})


def _retries_end(lookalike: Lookalike, how: str) -> None:
    world = lookalike.world
    world.policy = changed(world.policy, {"when_retries_fail": how})


_ACTIONS: dict[str, Action] = {
    "later": _later,
    "fails": _card(customers.DECLINED_CARD),
    "works": _card(customers.WORKING_CARD),
    "refund": _refund,
    "retries_end": _retries_end,
    "webhooks": lambda lookalike, mode: lookalike.delivery.queue.configure({"mode": mode}),
}


def _page(lookalike: Lookalike, site: str | None, problem: str | None = None, status: int = 200) -> tuple[str, int]:
    world = lookalike.world
    names = _names(world)
    page = render_template(
        "lookalike/backstage.html",
        site=site,
        problem=problem,
        now=day(world.now()),
        later=LATER,
        subscriptions=[_subscription(world, row, names) for row in reversed(world.table("subscription").values())],
        payments=[_payment(world, row, names) for row in reversed(world.table("charge").values()) if row["paid"]],
        ends=ENDS,
        retries_end=world.policy.when_retries_fail,
        modes=DELIVERY.items(),
        delivery=lookalike.delivery.queue.state(),
    )
    return page, status


def _names(world: World) -> dict[str, str]:
    """Return the reader of each customer, from the sessions and the subscriptions' metadata."""
    readers = {row["customer"]: row["client_reference_id"] for row in world.table("checkout.session").values()}
    readers |= {row["customer"]: row["metadata"].get("reader_id") for row in world.table("subscription").values()}
    return {customer: reader for customer, reader in readers.items() if customer and reader}


def _subscription(world: World, subscription: Json, names: dict[str, str]) -> Json:
    customer = world.table("customer").get(subscription["customer"], {})
    card = None if customer.get("deleted") else customers.default_card(world, customer, subscription)
    return {
        **summarize(world, subscription),
        "reader": names.get(subscription["customer"], subscription["customer"]),
        "customer": subscription["customer"],
        "active": subscription["status"] not in lifecycle.TERMINAL and not customer.get("deleted"),
        "fails": card is None or not customers.accepts_charge(card),
    }


def _payment(world: World, charge: Json, names: dict[str, str]) -> Json:
    sessions = world.table("checkout.session").values()
    session = next((row for row in sessions if charge["payment_intent"] == row["payment_intent"]), None)
    rows = world.table("line_items").get(session["id"], {}).get("data", []) if session else []
    return {
        "id": charge["id"],
        "amount": catalogue.money(charge["amount"], charge["currency"]),
        "what": ", ".join(row["description"] for row in rows) or "Subscription",
        "reader": session["client_reference_id"] if session else names.get(charge["customer"], charge["customer"]),
        "at": day(charge["created"]),
        "refunded": charge["refunded"],
    }
