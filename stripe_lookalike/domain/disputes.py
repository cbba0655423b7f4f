"""Disputes: the reader's bank opens and decides them, and the publisher submits evidence."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

_OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
STATUSES = (*_OPEN, "won", "lost", "prevented", "warning_closed")


def open_dispute(world: World, charge: Json, reason: str, amount: int | None, status: str) -> Json:
    """Create a dispute. An inquiry (`warning_…`) and a prevented dispute withdraw no money."""
    if status not in STATUSES:
        raise invalid(f"A dispute cannot be {status}.", "status")
    now = world.now()
    dispute = blank(
        "dispute",
        id=ids.new("du_3"),
        amount=charge["amount"] if amount is None else amount,
        charge=charge["id"],
        created=now,
        currency=charge["currency"],
        is_charge_refundable=status.startswith("warning_"),
        payment_intent=charge["payment_intent"],
        reason=reason,
        status=status,
    )
    dispute["evidence_details"].update(due_by=now + 9 * 86_400)
    if not status.startswith("warning_"):
        charge["disputed"] = True
    world.add(dispute)
    world.emit("charge.dispute.created", dispute)
    if status in ("needs_response", "under_review"):
        world.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def set_status(world: World, dispute: Json, status: str) -> None:
    """Set the dispute's next status; won, lost, prevented and closed are final."""
    if status not in STATUSES:
        raise invalid(f"A dispute cannot become {status}.", "status")
    charge = world.get("charge", dispute["charge"])
    if status in ("under_review", "warning_under_review"):
        dispute["evidence_details"].update(
            has_evidence=True, submission_count=dispute["evidence_details"]["submission_count"] + 1
        )
    escalated = dispute["status"].startswith("warning_") and status == "needs_response"
    dispute["status"] = status
    if not status.startswith("warning_"):
        charge["disputed"] = True
    world.emit("charge.dispute.updated", dispute)
    world.emit("charge.updated", charge)
    if escalated:
        world.emit("charge.dispute.funds_withdrawn", dispute)
    if status == "won":
        world.emit("charge.dispute.funds_reinstated", dispute)
    if status not in _OPEN:
        world.emit("charge.dispute.closed", dispute)
