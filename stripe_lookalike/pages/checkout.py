"""`/c/pay/…`: the checkout page."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from stripe_lookalike.domain import catalogue, checkout, customers, due_work, items, taxes
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.pages.formatting import interval_text
from stripe_lookalike.world import World

WORDS = {
    "de": {
        "Subscribe": "Abonnieren",
        "Pay": "Bezahlen",
        "Due today": "Heute fällig",
        "Discount": "Rabatt",
        "Tax": "Steuer",
    },
    "es": {
        "Subscribe": "Suscribirse",
        "Pay": "Pagar",
        "Due today": "Total hoy",
        "Discount": "Descuento",
        "Tax": "Impuesto",
    },
    "fr": {"Subscribe": "S’abonner", "Pay": "Payer", "Due today": "À payer", "Discount": "Remise", "Tax": "Taxe"},
}
"""What the page says in another language: enough to see which `locale` a session has."""

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
            return _act(world, session, {name: word.strip() for name, word in request.form.items()})

    return pages


def _act(world: World, session: Json, entered: dict[str, str]) -> Response | tuple[str, int]:
    choice, email = entered.get("choice", ""), entered.get("email") or None
    try:
        checkout.enter(world, session, entered)
        if choice == "update":
            return _page(world, session)
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
    currency = session["currency"]
    customer = world.table("customer").get(session["customer"] or "", {})
    code = checkout.code_of(world, session)
    rows: list[items.Row] = session["_rows"]
    page = render_template(
        "lookalike/checkout.html",
        session=session,
        lines=[_line(line, row, currency) for line, row in zip(_lines(world, session), rows, strict=True)],
        seats=next((row for row in rows if row.adjustable_quantity), None),
        words=WORDS.get((session["locale"] or "en")[:2], {}),
        discount=catalogue.money(-session["total_details"]["amount_discount"], currency),
        code=code["code"] if code else None,
        tax=catalogue.money(session["total_details"]["amount_tax"], currency),
        total=catalogue.money(session["amount_total"] or 0, currency),
        trial_days=session["_trial_days"],
        countries=sorted(taxes.PERCENT),
        needs_address=session["automatic_tax"]["enabled"] or session["billing_address_collection"] == "required",
        email=customer.get("email"),
        problem=problem,
    )
    return page, status


def _lines(world: World, session: Json) -> list[Json]:
    found: list[Json] = world.table("line_items").get(session["id"], {}).get("data", [])
    return found


def _line(line: Json, row: items.Row, currency: str) -> Json:
    full = catalogue.money(catalogue.unit_amount(row.price, currency) * row.quantity, currency)
    return {
        "name": line["description"] or row.price["id"],
        "quantity": row.quantity,
        "amount": full,
        "interval": interval_text(row.price),
    }
