"""Refunds: partial, full, pending or failed. The charge has their sum."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import payments
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

_COUNTED_STATUSES = ("succeeded", "pending", "requires_action")


def charge_for(world: World, charge_id: str | None, intent_id: str | None) -> Json:
    """Return the charge of a refund or dispute, by its ID or its payment intent's."""
    if charge_id:
        return world.get("charge", charge_id, "charge")
    if not intent_id:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    charge = payments.latest_charge(world, world.get("payment_intent", intent_id, "payment_intent"))
    if charge is None or not charge["paid"]:
        raise invalid("This PaymentIntent does not have a successful charge to refund.", "payment_intent")
    return charge


def refund(world: World, charge: Json, amount: int | None, reason: str | None, metadata: Json) -> Json:
    """Refund `amount`, or all that is left. Raises: `ApiError` 400 if the charge doesn't allow it."""
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"] or left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if amount is not None and not 0 < amount <= left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount")
    new_refund = blank(
        "refund",
        id=ids.new("re_3"),
        amount=left if amount is None else amount,
        balance_transaction=ids.new("txn_3"),
        charge=charge["id"],
        created=world.now(),
        currency=charge["currency"],
        customer=charge["customer"],
        metadata=metadata,
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=reason,
        status=world.policy.refund_status,
    )
    world.add(new_refund)
    _sum_up(world, charge)
    world.emit("refund.created", new_refund)
    world.emit("charge.refunded", charge)
    return new_refund


def settle(world: World, refund: Json, status: str) -> None:
    """Set a refund's outcome: `succeeded`, `failed` (the publisher gets the money back), or `canceled`."""
    if status not in ("succeeded", "failed", "canceled"):
        raise invalid(f"A refund cannot become {status}.", "status")
    refund["status"] = status
    if status == "failed":
        refund.update(failure_reason="unknown", failure_balance_transaction=ids.new("txn_3"))
    charge = world.table("charge").get(refund["charge"])
    if charge is not None:
        _sum_up(world, charge)
    world.emit("refund.updated", refund)
    world.emit("charge.refund.updated", refund)
    if status == "failed":
        world.emit("refund.failed", refund)


def _sum_up(world: World, charge: Json) -> None:
    rows = world.table("refund").values()
    total = sum(row["amount"] for row in rows if row["charge"] == charge["id"] and row["status"] in _COUNTED_STATUSES)
    charge.update(amount_refunded=total, refunded=total == charge["amount"])
