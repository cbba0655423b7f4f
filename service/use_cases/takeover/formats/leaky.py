"""Leaky Paywall's subscribers export: Tools → Export, formerly the Reporting Tool.

With Stripe's recurring plan (`plan`) the subscription at Stripe says whether access runs, and `expires` does not count. But
who has cancelled keeps access until `expires`, also where Stripe ended the subscription at once. Without a plan it was a
one-time payment, also where the row names a customer. A row can be `active` although its end has passed: a job ends such
rows a day later.
"""

from __future__ import annotations

from service.use_cases.takeover.formats.export_format import (
    Carrier,
    Cells,
    ExportedMember,
    ExportFormat,
    ReadingContext,
    customer_id,
    read_end,
    subscription_id,
)

GIVES_ACCESS = frozenset({"active", "pending_cancel", "trial", "past_due"})
NO_ACCESS = frozenset(
    {
        "canceled",
        "cancelled",
        "expired",
        "deactivated",
        "refunded",
        "reversed",
        "denied",
        "failed",
        "voided",
        "suspended",
        "buyer_complaint",
    }
)


def _read_row(cells: Cells, context: ReadingContext) -> ExportedMember:
    status, says = cells["payment_status"].lower(), cells["has_access"].lower()
    if says not in ("", "yes", "no"):
        raise ValueError("has_access is neither yes nor no")
    access = status in GIVES_ACCESS or (status not in NO_ACCESS and says == "yes")
    until, end_rule = read_end(cells["expires"], context.zone)
    gateway, is_recurring = cells["payment_gateway"].lower(), bool(cells["plan"])
    customer, subscription = customer_id(cells["subscriber_id"]), subscription_id(cells["subscriber_id"])
    by_stripe = is_recurring and (customer or subscription) and (not gateway or gateway.startswith("stripe"))
    # A renewal may have come since the export; what does not renew ends.
    renews = is_recurring and status != "pending_cancel"
    is_over = until is not None and until <= context.now and not renews
    carrier: Carrier = "grant"
    if by_stripe:
        carrier = "stripe" if renews or until is None else "either"
    return ExportedMember(
        reader=cells[context.reader_column],
        access=access and not is_over,
        levels=(cells["level_id"],),
        carrier=carrier,
        customer=customer,
        subscription=subscription,
        until=until,
        end_rule=end_rule or ("recurring" if is_recurring and until is None else None),
    )


LEAKY = ExportFormat(
    name="leaky",
    title="Leaky Paywall's subscribers export",
    reader_column="user_id",
    columns=(
        ("level_id",),
        ("subscriber_id",),
        ("plan",),
        ("expires",),
        ("payment_gateway",),
        ("payment_status",),
    ),
    read_row=_read_row,
)
