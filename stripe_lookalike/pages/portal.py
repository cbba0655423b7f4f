"""`/p/session/…`: the customer portal, to cancel or keep a subscription, and to change the card or plan."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from stripe_lookalike.domain import (
    catalogue,
    changes,
    customers,
    due_work,
    invoices,
    lifecycle,
    subscriptions,
)
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages.formatting import day, interval_text
from stripe_lookalike.world import World


def blueprint(lookalike: Lookalike) -> Blueprint:
    """Return the portal of this look-alike."""
    pages = Blueprint("lookalike_portal", __name__, template_folder="templates")

    @pages.get("/p/session/<session_id>")
    def show(session_id: str) -> tuple[str, int]:
        world = lookalike.world
        with world.lock:
            due_work.run_due(world)
            return _page(world, world.table("billing_portal.session").get(session_id))

    @pages.post("/p/session/<session_id>")
    def act(session_id: str) -> Response | tuple[str, int]:
        world = lookalike.world
        with world.lock:
            due_work.run_due(world)
            session = world.table("billing_portal.session").get(session_id)
            action = _ACTIONS.get(request.form.get("action", ""))
            if session is None or action is None:
                return _page(world, session, "Choose what to do.", 400)
            try:
                problem = action(world, customers.existing(world, session["customer"]), request.form.to_dict())
            except ApiError as error:
                problem = str(error)
            if problem:
                return _page(world, session, problem, 402)
            return redirect(request.path, code=303)

    return pages


Action = Callable[[World, Json, dict[str, str]], str | None]


def _owned_subscription(world: World, customer: Json, form: dict[str, str]) -> Json:
    subscription = subscriptions.editable(world, form.get("subscription", ""))
    if subscription["customer"] != customer["id"]:
        raise ApiError(404, "This subscription belongs to another customer.")
    return subscription


def _cancel(world: World, customer: Json, form: dict[str, str]) -> None:
    """Cancel at the period's end. Flexible billing sets `cancel_at` alone; classic billing also sets the flag."""
    subscription = _owned_subscription(world, customer, form)
    classic = subscription["billing_mode"]["type"] == "classic"
    end = subscriptions.last_period_end(subscription)
    with world.changing(subscription, "customer.subscription.updated"):
        subscriptions.schedule_end(world, subscription, end, at_period_end=classic)
    lifecycle.schedule(world, subscription)


def _cancel_now(world: World, customer: Json, form: dict[str, str]) -> None:
    lifecycle.cancel(world, _owned_subscription(world, customer, form), "cancellation_requested")


def _undo(world: World, customer: Json, form: dict[str, str]) -> None:
    subscription = _owned_subscription(world, customer, form)
    with world.changing(subscription, "customer.subscription.updated"):
        subscriptions.unschedule_end(subscription)


def _card(last4: str) -> Action:
    def change(world: World, customer: Json, form: dict[str, str]) -> None:
        customers.add_card(world, customer, last4)

    return change


def _switch(world: World, customer: Json, form: dict[str, str]) -> None:
    subscription = _owned_subscription(world, customer, form)
    price = catalogue.active_price(world, form.get("price", ""), "price")
    item = subscription["items"]["data"][0]["id"]
    changes.change_items(world, subscription, [changes.Change(item=item, price=price)], "create_prorations")


def _pay(world: World, customer: Json, form: dict[str, str]) -> str | None:
    invoice = world.get("invoice", form.get("invoice", ""))
    if invoice["customer"] != customer["id"]:
        raise ApiError(404, "This invoice belongs to another customer.")
    paid = invoices.pay(world, invoice)
    lifecycle.update_after_invoice(world, invoice)
    return None if paid else "Your card was declined. Change the card and try again."


_ACTIONS: dict[str, Action] = {
    "cancel": _cancel,
    "cancel_now": _cancel_now,
    "undo": _undo,
    "card_good": _card(customers.WORKING_CARD),
    "card_bad": _card(customers.DECLINED_CARD),
    "switch": _switch,
    "pay": _pay,
}


def _page(world: World, session: Json | None, problem: str | None = None, status: int = 200) -> tuple[str, int]:
    if session is None:
        return render_template(
            "lookalike/gone.html", title="No such page", text="This portal session does not exist."
        ), 404
    customer = world.get("customer", session["customer"])
    owned = [row for row in world.table("subscription").values() if row["customer"] == customer["id"]]
    card = None if customer.get("deleted") else customers.default_card(world, customer)
    page = render_template(
        "lookalike/portal.html",
        session=session,
        email=customer.get("email"),
        card=card["card"]["last4"] if card and card["type"] == "card" else None,
        subscriptions=[summarize(world, row) for row in reversed(owned)],
        prices=[_offer(world, row) for row in world.table("price").values() if row["recurring"] and row["active"]],
        now=day(world.now()),
        problem=problem,
    )
    return page, status


def summarize(world: World, subscription: Json) -> Json:
    """Return what the pages show of a subscription."""
    item = subscription["items"]["data"][0]
    invoice = world.table("invoice").get(subscription["latest_invoice"] or "", {})
    owed = invoice.get("status") == "open" and subscription["status"] not in lifecycle.TERMINAL
    return {
        "id": subscription["id"],
        "name": catalogue.product_name(world, item["price"]),
        "price": _offer(world, item["price"])["text"],
        "price_id": item["price"]["id"],
        "quantity": item["quantity"],
        "status": subscription["status"].replace("_", " "),
        "over": subscription["status"] in lifecycle.TERMINAL,
        "ends": day(subscription["cancel_at"]) if subscription["cancel_at"] else None,
        "ended": day(subscription["ended_at"]) if subscription["ended_at"] else None,
        "renews": day(subscriptions.last_period_end(subscription)),
        "owed": {"id": invoice["id"], "text": catalogue.money(invoice["amount_due"], invoice["currency"])}
        if owed
        else None,
    }


def _offer(world: World, price: Json) -> Json:
    amount = catalogue.money(price["unit_amount"] or 0, price["currency"])
    return {"id": price["id"], "text": f"{catalogue.product_name(world, price)}, {amount} {interval_text(price)}"}
