"""`/c/pay/…`: the checkout page."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from stripe_lookalike.domain import catalogue, checkout, customers, due_work
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages.formatting import interval_text
from stripe_lookalike.world import World

_DECLINED = "Your card was declined. Nothing was paid; try another card."


def blueprint(lookalike: Lookalike) -> Blueprint:
    """Return the checkout page of this look-alike."""
    pages = Blueprint("lookalike_checkout", __name__, template_folder="templates")

    @pages.get("/c/pay/<session_id>")
    def show(session_id: str) -> tuple[str, int]:
        world = lookalike.world
        with world.lock:
            due_work.run_due(world)
            session = world.table("checkout.session").get(session_id)
            return _page(world, session)

    @pages.post("/c/pay/<session_id>")
    def act(session_id: str) -> Response | tuple[str, int]:
        world = lookalike.world
        with world.lock:
            due_work.run_due(world)
            session = world.table("checkout.session").get(session_id)
            if session is None:
                return _page(world, session)
            return _act(world, session, request.form.get("choice", ""), request.form.get("email", "").strip() or None)

    return pages


def _act(world: World, session: Json, choice: str, email: str | None) -> Response | tuple[str, int]:
    try:
        if choice == "pay":
            checkout.pay(world, session, email)
        elif choice == "decline":
            checkout.pay(world, session, email, last4=customers.DECLINED_CARD)
        elif choice == "debit":
            checkout.pay_later(world, session, email)
        else:
            return _page(world, session, "Choose how to pay.", 400)
    except checkout.DeclinedError:
        return _page(world, session, _DECLINED, 402)
    except ApiError as error:
        return _page(world, session, str(error), 400)
    target = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    return redirect(target, code=303)


def _page(world: World, session: Json | None, problem: str | None = None, status: int = 200) -> tuple[str, int]:
    if session is None:
        return render_template(
            "lookalike/gone.html", title="No such checkout", text="This checkout does not exist."
        ), 404
    rows = world.table("line_items").get(session["id"], {}).get("data", [])
    lines = [
        {
            "name": row["description"] or row["price"]["id"],
            "quantity": row["quantity"],
            "amount": catalogue.money(row["amount_total"], row["currency"]),
            "interval": interval_text(row["price"]),
        }
        for row in rows
    ]
    customer = world.table("customer").get(session["customer"] or "", {})
    page = render_template(
        "lookalike/checkout.html",
        session=session,
        lines=lines,
        total=catalogue.money(session["amount_total"] or 0, session["currency"]),
        trial=bool(session.get("_trial_days") or session.get("_trial_end")),
        email=customer.get("email") or session["customer_email"] or "reader@example.org",
        fixed_email=bool(customer.get("email") or session["customer_email"]),
        problem=problem,
    )
    return page, status
