"""Refunds and disputes of a payment, reported one by one, in any order, any number of times.

A status only moves forward along Stripe's own order, so updates are commutative and idempotent and need no times.
`REFUND_ENDS` and `DISPUTES` alone say what Stripe's statuses mean (docs.stripe.com/api/refunds, …/api/disputes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from service.domain.sources import Pass

REFUND_ENDS = frozenset({"failed", "canceled"})
"""Statuses of a refund whose money comes back to the site; with any other status the refund counts."""

DISPUTES: dict[str, tuple[int, bool]] = {
    "warning_needs_response": (1, False),
    "warning_under_review": (2, False),
    "warning_closed": (3, False),
    "needs_response": (4, True),
    "under_review": (5, True),
    "prevented": (6, False),
    "won": (7, False),
    "appeal_needs_response": (8, True),
    "appeal_under_review": (9, True),
    "lost": (10, True),
}
"""Status of a dispute → its rank, and whether the dispute is open or lost. An unknown status: (0, False)."""

_REFUNDS = {"requires_action": 1, "pending": 2, "succeeded": 3, "failed": 4, "canceled": 4}


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment of a one-time session, with its refunds and disputes. Amounts are in the currency's smallest unit."""

    intent: str | None
    amount: int
    refunded: int = 0
    disputed: bool = False
    """A dispute is open or lost. Inquiries, and won or prevented disputes, do not count."""
    refunds: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Refund ID → amount and Stripe's status; `refunded` and `disputed` are computed from these (`with_totals`)."""
    disputes: Mapping[str, str] = field(default_factory=dict)
    """Dispute ID → Stripe's status."""
    charged_back: int = 0
    """The largest refunded amount that a charge reported; it covers refunds without an update of their own."""


@dataclass(frozen=True, slots=True)
class PaymentUpdate:
    """What one event reports of a payment."""

    kind: Literal["charge", "refund", "dispute"]
    id: str
    intent: str | None
    """The payment; where only `charge` is known, the intent has to be read from Stripe."""
    charge: str | None
    amount: int
    """Of a refund its amount, of a charge the sum that was refunded, of a dispute 0."""
    status: str
    """Stripe's own word; it is not used for a charge."""


def apply_update(payment: Payment, update: PaymentUpdate) -> Payment:
    """Return the payment after an update."""
    refunds, disputes, charged_back = dict(payment.refunds), dict(payment.disputes), payment.charged_back
    if update.kind == "refund":
        refunds[update.id] = _later_refund(refunds.get(update.id), (update.amount, update.status))
    elif update.kind == "dispute":
        disputes[update.id] = _later_dispute(disputes.get(update.id), update.status)
    else:
        charged_back = max(charged_back, update.amount)
    return with_totals(replace(payment, refunds=refunds, disputes=disputes, charged_back=charged_back))


def merge_payments(one: Payment, other: Payment) -> Payment:
    """Return a payment with all that two records of it hold."""
    refunds, disputes = dict(one.refunds), dict(one.disputes)
    for name, refund in other.refunds.items():
        refunds[name] = _later_refund(refunds.get(name), refund)
    for name, status in other.disputes.items():
        disputes[name] = _later_dispute(disputes.get(name), status)
    return with_totals(
        Payment(
            intent=one.intent or other.intent,
            amount=one.amount or other.amount,
            refunds=refunds,
            disputes=disputes,
            charged_back=max(one.charged_back, other.charged_back),
        )
    )


def with_totals(payment: Payment) -> Payment:
    """Return the payment with `refunded` and `disputed` computed from its refunds and disputes."""
    returned = sum(amount for amount, status in payment.refunds.values() if status in REFUND_ENDS)
    sent = sum(amount for amount, status in payment.refunds.values() if status not in REFUND_ENDS)
    return replace(
        payment,
        refunded=max(sent, payment.charged_back - returned),
        disputed=any(DISPUTES.get(status, (0, False))[1] for status in payment.disputes.values()),
    )


def apply_payment(source: Pass, payment: Payment | None) -> Pass:
    """Return the pass that a payment bought: refunded once the refunds reach the amount, disputed by an open or lost one."""
    if payment is None:
        return source
    return replace(source, refunded=0 < payment.amount <= payment.refunded, disputed=payment.disputed)


def _later_refund(known: tuple[int, str] | None, reported: tuple[int, str]) -> tuple[int, str]:
    """Return the later of two states; of equal rank always the same one, whichever came first."""
    return max(known or reported, reported, key=lambda refund: (_REFUNDS.get(refund[1], 0), refund))


def _later_dispute(known: str | None, reported: str) -> str:
    return max(known or reported, reported, key=lambda status: (DISPUTES.get(status, (0, False))[0], status))
