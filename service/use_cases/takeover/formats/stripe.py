"""Stripe's own exports from the Dashboard: subscriptions (they have `Customer ID`) or customers. All access is Stripe's.

`Status` is Stripe's word; of a customer that of one subscription, or empty. The reader is in a column of metadata.
"""

from __future__ import annotations

from service.use_cases.takeover.formats.export_format import (
    Cells,
    ExportedMember,
    ExportFormat,
    ReadingContext,
    customer_id,
    subscription_id,
)

GIVES_ACCESS = frozenset({"active", "trialing", "past_due"})
RECIPIENT = "gift_recipient (metadata)"


def _read_row(cells: Cells, context: ReadingContext) -> ExportedMember:
    of_subscriptions = "Customer ID" in cells
    recipient = cells[RECIPIENT]
    quantity = cells["Quantity"]
    return ExportedMember(
        reader=recipient or cells[context.reader_column],
        access=cells["Status"].lower() in GIVES_ACCESS and not cells["Ended At (UTC)"],
        levels=(cells["Plan"],),
        carrier="stripe",
        customer=customer_id(cells["Customer ID"] if of_subscriptions else cells["id"]),
        subscription=subscription_id(cells["id"]) if of_subscriptions else None,
        is_price=True,
        product=cells["Product"] or None,
        quantity=int(quantity) if quantity.isascii() and quantity.isdigit() else 1,
        only_subscription=bool(recipient),
    )


STRIPE = ExportFormat(
    name="stripe",
    title="Stripe's export of customers or subscriptions",
    reader_column="reader_id (metadata)",
    columns=(("id",),),
    read_row=_read_row,
)
