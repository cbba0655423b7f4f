"""Invoices: drafted, finalized, paid, voided, uncollectible. `lifecycle.py` then updates the subscription."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import customers, discounts, payments, taxes
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World, embedded

FINALIZED_AFTER = 3_600
"""Seconds from a renewal's draft to its finalization."""


def create_draft(world: World, subscription: Json, lines: list[Json], reason: str, period: tuple[int, int]) -> Json:
    """Create a draft invoice with `lines`. `reason` is Stripe's `billing_reason`; `period` is in epoch seconds."""
    now, invoice_id = world.now(), ids.new("in_1")
    customer = world.get("customer", subscription["customer"])
    for line in lines:
        line["invoice"] = invoice_id
    invoice = blank(
        "invoice",
        id=invoice_id,
        billing_reason=reason,
        created=now,
        currency=subscription["currency"],
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        lines=embedded(f"/v1/invoices/{invoice_id}/lines", lines),
        period_start=period[0],
        period_end=period[1],
        webhooks_delivered_at=now,
    )
    _add_totals(world, invoice, subscription, customer)
    invoice["parent"] = {
        "quote_details": None,
        "subscription_details": {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]},
        "type": "subscription_details",
    }
    if reason == "subscription_cycle":
        after = now + FINALIZED_AFTER
        invoice.update(auto_advance=True, next_payment_attempt=after, automatically_finalizes_at=after)
    world.add(invoice)
    world.emit("invoice.created", invoice)
    return invoice


def _add_totals(world: World, invoice: Json, subscription: Json, customer: Json) -> None:
    """Add up the lines, take off the subscription's discount, and add the tax."""
    subtotal = sum(line["amount"] for line in invoice["lines"]["data"])
    discount = discounts.running(world, subscription)
    cut = discounts.cut(discounts.coupon_of(world, discount), subtotal) if discount else 0
    taxed = bool((subscription.get("automatic_tax") or {}).get("enabled"))
    tax = taxes.tax_on(subtotal - cut, customers.tax_percent(customer)) if taxed else 0
    total = subtotal - cut + tax
    invoice.update(
        amount_due=max(total, 0),
        amount_remaining=max(total, 0),
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        total=total,
        total_discount_amounts=[{"amount": cut, "discount": discount["id"]}] if discount else [],
        total_excluding_tax=total - tax,
        total_taxes=taxes.of_invoice(subtotal - cut, tax) if taxed else [],
    )
    if taxed:
        invoice["automatic_tax"].update(enabled=True, liability={"type": "self"}, provider="stripe", status="complete")
    if discount and cut:
        discounts.spend(world, subscription, discount)


def finalize(world: World, invoice: Json) -> None:
    """Finalize a draft: give it a number and open it for payment. An invoice of 0 is paid at once."""
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
        _request_payment(world, invoice)
    world.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        _mark_paid(world, invoice)
        world.emit("invoice.paid", invoice)


def _request_payment(world: World, invoice: Json) -> None:
    first = invoice["billing_reason"] == "subscription_create"
    intent = payments.create_intent(
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
    """Return the invoice's payment; `None` for an invoice of 0. Like Stripe's, its ID repeats the invoice's."""
    return world.table("invoice_payment").get(_payment_id(invoice))


def _payment_id(invoice: Json) -> str:
    return "inpay_" + str(invoice["id"]).removeprefix("in_")


def intent_of(world: World, invoice: Json) -> Json | None:
    payment = payment_of(world, invoice)
    return world.table("payment_intent").get(payment["payment"]["payment_intent"]) if payment else None


def pay(world: World, invoice: Json, method: Json | None = None) -> bool:
    """Try to pay an open invoice, and return whether that succeeds.

    Without a `method`, use the card of the subscription or customer. Raises: `ApiError` 400 if the invoice isn't open.
    """
    if invoice["status"] != "open":
        raise invalid(f"Invoice is not open, its status is {invoice['status']}.", code="invoice_not_open")
    customer = world.get("customer", invoice["customer"])
    if method is None:
        method = customers.default_card(world, customer, subscription_of(world, invoice))
    payment, intent = payment_of(world, invoice), intent_of(world, invoice)
    if payment is None or intent is None:  # an invoice that a test added has neither
        _request_payment(world, invoice)
        payment, intent = payment_of(world, invoice), intent_of(world, invoice)
    assert payment is not None
    assert intent is not None
    paid = payments.attempt_payment(world, intent, method)
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if not paid:
        invoice["next_payment_attempt"] = _next_attempt(world, invoice)
        world.emit("invoice.payment_failed", invoice)
        return False
    _mark_paid(world, invoice)
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


def _mark_paid(world: World, invoice: Json) -> None:
    invoice.update(status="paid", auto_advance=False, amount_paid=invoice["amount_due"], amount_remaining=0)
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": world.now()}


def void(world: World, invoice: Json) -> None:
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(f"An invoice that is {invoice['status']} cannot be voided.", code="invoice_not_editable")
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "voided_at": world.now()}
    world.emit("invoice.voided", invoice)


def mark_uncollectible(world: World, invoice: Json) -> None:
    if invoice["status"] != "open":
        raise invalid("Only an open invoice can be marked uncollectible.", code="invoice_not_editable")
    invoice.update(status="uncollectible", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "marked_uncollectible_at": world.now()}
    world.emit("invoice.marked_uncollectible", invoice)


def subscription_of(world: World, invoice: Json) -> Json | None:
    """Return the subscription of an invoice."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return world.table("subscription").get(details.get("subscription") or "")
