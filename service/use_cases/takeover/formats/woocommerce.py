"""WooCommerce Subscriptions' CSV export, a row for each subscription.

WooCommerce charges the cards itself: Stripe holds no subscription, and a row that names a customer needs a grant as well.
Times are UTC. What has been paid ends with the next payment, or with `end_date`.
"""

from __future__ import annotations

import re
from datetime import UTC
from decimal import Decimal, InvalidOperation

from service.use_cases.takeover.formats.export_format import (
    Cells,
    EndRule,
    ExportedMember,
    ExportFormat,
    ReadingContext,
    read_end,
)

GIVES_ACCESS = frozenset({"active", "pending-cancel"})

# A name can hold the characters that separate items and their parts.
_ITEM = re.compile(r"(?:^|;)product_id:[^|]*\|name:(.*?)\|quantity:[^|]*\|total:", re.DOTALL)
_CUSTOMER = re.compile(r"(?:^|\|)_stripe_customer_id:(cus_[A-Za-z0-9_]+)", re.ASCII)


def _read_row(cells: Cells, context: ReadingContext) -> ExportedMember:
    status = cells["subscription_status"].lower().removeprefix("wc-")
    customer = _CUSTOMER.search(cells["payment_method_post_meta"]) or _CUSTOMER.search(
        cells["payment_method_user_meta"]
    )
    until, end_rule = _end_of_paid(cells, status, context)
    end, _ = read_end(cells["end_date"], UTC)
    reader = cells[context.reader_column]
    return ExportedMember(
        reader="" if (context.reader_column, reader) == ("customer_id", "0") else reader,  # A guest.
        access=status in GIVES_ACCESS and not (end is not None and end <= context.now),
        levels=tuple(dict.fromkeys(name.strip() for name in _ITEM.findall(cells["order_items"]))) or ("",),
        carrier="grant",
        customer=customer[1] if customer else None,
        until=until,
        end_rule=end_rule,
    )


def _end_of_paid(cells: Cells, status: str, context: ReadingContext) -> tuple[int | None, EndRule | None]:
    end, unreadable = read_end(cells["end_date"], UTC)
    if unreadable:
        return None, unreadable
    if status == "pending-cancel":
        return end, None if end is not None else "recurring"
    if _is_zero(cells["order_total"]):  # Complimentary: it renews for nothing.
        return end, None
    paid, unreadable = read_end(cells["next_payment_date"], UTC)
    if paid is None and unreadable is None:
        paid, unreadable = read_end(cells["trial_end_date"], UTC)
        paid = paid if paid is not None and paid > context.now else None
    if unreadable:
        return None, unreadable
    known = [moment for moment in (paid, end) if moment is not None]
    if known:
        return min(known), None
    return None, None if cells["requires_manual_renewal"].lower() == "true" else "recurring"


def _is_zero(total: str) -> bool:
    try:
        return Decimal(total) == 0
    except InvalidOperation:
        return False


WOOCOMMERCE = ExportFormat(
    name="woocommerce",
    title="WooCommerce Subscriptions' export",
    reader_column="customer_id",
    columns=(("subscription_status",), ("next_payment_date",), ("end_date",), ("order_items",)),
    read_row=_read_row,
)
