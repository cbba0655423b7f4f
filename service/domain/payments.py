"""What has become of a payment: refunds and disputes, told one by one, in any order, any number of times.

Every fact only ever moves forward along Stripe's own order of statuses, so adding news is commutative and idempotent
and needs no times. `REFUND_ENDS` and `DISPUTES` are the only places that say what Stripe's words mean here.
"""

from __future__ import annotations

from dataclasses import replace

from service.domain.sources import Pass
from service.domain.stripe_facts import Payment, PaymentUpdate

REFUND_ENDS = frozenset({"failed", "canceled"})
"""Statuses of a refund that give the money back to us; with any other word the refund counts."""

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
"""Status of a dispute → its place in the order, and whether it is open or lost. A word not here: (0, False)."""

_REFUNDS = {"requires_action": 1, "pending": 2, "succeeded": 3, "failed": 4, "canceled": 4}


def with_news(payment: Payment, news: PaymentUpdate) -> Payment:
    """The payment after this was told."""
    refunds, disputes, charged_back = dict(payment.refunds), dict(payment.disputes), payment.charged_back
    if news.what == "refund":
        refunds[news.id] = _later_refund(refunds.get(news.id), (news.amount, news.status))
    elif news.what == "dispute":
        disputes[news.id] = _later_dispute(disputes.get(news.id), news.status)
    else:
        charged_back = max(charged_back, news.amount)
    return settled(replace(payment, refunds=refunds, disputes=disputes, charged_back=charged_back))


def joined(one: Payment, other: Payment) -> Payment:
    """Both halves of what is known of one payment."""
    refunds, disputes = dict(one.refunds), dict(one.disputes)
    for name, refund in other.refunds.items():
        refunds[name] = _later_refund(refunds.get(name), refund)
    for name, status in other.disputes.items():
        disputes[name] = _later_dispute(disputes.get(name), status)
    return settled(
        Payment(
            intent=one.intent or other.intent,
            amount=one.amount or other.amount,
            refunds=refunds,
            disputes=disputes,
            charged_back=max(one.charged_back, other.charged_back),
        )
    )


def settled(payment: Payment) -> Payment:
    """`refunded` and `disputed` worked out from the facts."""
    back = sum(amount for amount, status in payment.refunds.values() if status in REFUND_ENDS)
    sent = sum(amount for amount, status in payment.refunds.values() if status not in REFUND_ENDS)
    return replace(
        payment,
        refunded=max(sent, payment.charged_back - back),
        disputed=any(DISPUTES.get(status, (0, False))[1] for status in payment.disputes.values()),
    )


def with_payment(source: Pass, payment: Payment | None) -> Pass:
    """The pass that this payment bought: refunded once the refunds reach the amount, disputed by one open or lost."""
    if payment is None:
        return source
    return replace(source, refunded=0 < payment.amount <= payment.refunded, disputed=payment.disputed)


def _later_refund(known: tuple[int, str] | None, later: tuple[int, str]) -> tuple[int, str]:
    """The later of two states; of the same place in the order always the same one, whichever came first."""
    return max(known or later, later, key=lambda refund: (_REFUNDS.get(refund[1], 0), refund))


def _later_dispute(known: str | None, later: str) -> str:
    return max(known or later, later, key=lambda status: (DISPUTES.get(status, (0, False))[0], status))
