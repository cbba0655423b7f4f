"""Invoices: drafted, finalized, paid or not, voided, written off. The subscription follows in `lifecycle.py`."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import customers, payments
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World, embedded


def draft(world: World, subscription: Json, lines: list[Json], reason: str, period: tuple[int, int]) -> Json:
    """A draft of `lines` for the subscription; `reason` is Stripe's `billing_reason`."""
    now, invoice_id = world.now(), ids.new("in_1")
    customer = world.get("customer", subscription["customer"])
    total = sum(line["amount"] for line in lines)
    due = max(total, 0)
    for line in lines:
        line["invoice"] = invoice_id
    invoice = blank(
        "invoice",
        id=invoice_id,
        amount_due=due,
        amount_remaining=due,
        billing_reason=reason,
        created=now,
        currency=subscription["currency"],
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        lines=embedded(f"/v1/invoices/{invoice_id}/lines", lines),
        period_start=period[0],
        period_end=period[1],
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        webhooks_delivered_at=now,
    )
    invoice["parent"] = {
        "quote_details": None,
        "subscription_details": {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]},
        "type": "subscription_details",
    }
    if reason == "subscription_cycle":
        after = now + world.policy.finalize_after
        invoice.update(auto_advance=True, next_payment_attempt=after, automatically_finalizes_at=after)
    world.add(invoice)
    world.emit("invoice.created", invoice)
    return invoice


def finalize(world: World, invoice: Json) -> None:
    """Open the invoice: it gets its number and asks for money; with nothing to pay it is paid at once."""
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized.", code="invoice_not_editable")
    now = world.now()
    customer = world.get("customer", invoice["customer"])
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = number + 1
    customer["currency"] = invoice["currency"]
    page = f"https://invoice.stripe.com/i/{invoice['id']}"
    invoice.update(
        status="open",
        number=f"{customer['invoice_prefix']}-{number:04d}",
        effective_at=now,
        ending_balance=0,
        next_payment_attempt=None,
        automatically_finalizes_at=None,
        hosted_invoice_url=page,
        invoice_pdf=f"{page}/pdf",
    )
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": now}
    if invoice["amount_due"] > 0:
        _ask(world, invoice)
    world.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        _settle(world, invoice)
        world.emit("invoice.paid", invoice)


def _ask(world: World, invoice: Json) -> None:
    first = invoice["billing_reason"] == "subscription_create"
    intent = payments.intend(
        world,
        invoice["amount_due"],
        invoice["currency"],
        invoice["customer"],
        description="Subscription creation" if first else "Subscription update",
        setup_future_usage="off_session",
    )
    payment = blank(
        "invoice_payment",
        id=_payment_id(invoice),
        amount_requested=invoice["amount_due"],
        created=world.now(),
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
    )
    world.add(payment)


def payment_of(world: World, invoice: Json) -> Json | None:
    """The invoice's payment (there is one where money is asked for); like Stripe's, its id repeats the invoice's."""
    return world.table("invoice_payment").get(_payment_id(invoice))


def _payment_id(invoice: Json) -> str:
    return "inpay_" + str(invoice["id"]).removeprefix("in_")


def intent_of(world: World, invoice: Json) -> Json | None:
    payment = payment_of(world, invoice)
    return world.table("payment_intent").get(payment["payment"]["payment_intent"]) if payment else None


def pay(world: World, invoice: Json, method: Json | None = None) -> bool:
    """Try to pay an open invoice with `method`, else with the card of the subscription or customer."""
    if invoice["status"] != "open":
        raise invalid(f"Invoice is not open, its status is {invoice['status']}.", code="invoice_not_open")
    customer = world.get("customer", invoice["customer"])
    if method is None:
        method = customers.card_of(world, customer, subscription_of(world, invoice))
    payment, intent = payment_of(world, invoice), intent_of(world, invoice)
    if payment is None or intent is None:  # an invoice that was put here by hand brings neither
        _ask(world, invoice)
        payment, intent = payment_of(world, invoice), intent_of(world, invoice)
    assert payment is not None
    assert intent is not None
    paid = payments.attempt(world, intent, method)
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if not paid:
        invoice["next_payment_attempt"] = _next_attempt(world, invoice)
        world.emit("invoice.payment_failed", invoice)
        return False
    _settle(world, invoice)
    world.emit("invoice.payment_succeeded", invoice)
    world.emit("invoice.paid", invoice)
    payment.update(status="paid", amount_paid=invoice["amount_due"])
    payment["status_transitions"] = {**payment["status_transitions"], "paid_at": world.now()}
    world.emit("invoice_payment.paid", payment)
    return True


def _next_attempt(world: World, invoice: Json) -> int | None:
    days, done = world.policy.retry_days, int(invoice["attempt_count"])
    if not invoice["auto_advance"] or done > len(days):
        return None
    return world.now() + int(days[done - 1]) * 86_400


def _settle(world: World, invoice: Json) -> None:
    invoice.update(status="paid", auto_advance=False, amount_paid=invoice["amount_due"], amount_remaining=0)
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": world.now()}


def void(world: World, invoice: Json) -> None:
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(f"An invoice that is {invoice['status']} cannot be voided.", code="invoice_not_editable")
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "voided_at": world.now()}
    world.emit("invoice.voided", invoice)


def write_off(world: World, invoice: Json) -> None:
    if invoice["status"] != "open":
        raise invalid("Only an open invoice can be marked uncollectible.", code="invoice_not_editable")
    invoice.update(status="uncollectible", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "marked_uncollectible_at": world.now()}
    world.emit("invoice.marked_uncollectible", invoice)


def subscription_of(world: World, invoice: Json) -> Json | None:
    """The subscription behind an invoice."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return world.table("subscription").get(details.get("subscription") or "")
