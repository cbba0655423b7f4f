"""Paid Memberships Pro's members export: Memberships → Members → Export to CSV.

The list holds active memberships only, a row for each level of a member; the list of old members has `ended` in the place
of `expires`. A membership holds through the day `expires`: who cancels has paid until then, and PMPro cancels their
subscription at Stripe at once. A subscription without a next payment shows the day of the export as `next_payment_date`, so
that only a later day is the end of what has been paid.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service.domain.times import day_begins
from service.use_cases.takeover.formats.export_format import (
    Cells,
    EndRule,
    ExportedMember,
    ExportFormat,
    ReadingContext,
    read_end,
    subscription_id,
)


def _read_row(cells: Cells, context: ReadingContext) -> ExportedMember:
    until, end_rule = read_end(cells["expires"], context.zone)
    level = cells["membership"] or cells["membership_id"]
    is_current = "expires" in cells and bool(level) and not (until is not None and until <= context.now)
    transaction = cells["subscription_transaction_id"]
    subscription = subscription_id(transaction)
    if transaction and subscription is None and until is None and end_rule is None:
        until, end_rule = _next_payment(cells, context)
    return ExportedMember(
        reader=cells[context.reader_column],
        access=is_current,
        levels=(level,),
        carrier=("stripe" if until is None else "either") if subscription else "grant",
        subscription=subscription,
        until=until,
        end_rule=end_rule,
    )


def _next_payment(cells: Cells, context: ReadingContext) -> tuple[int | None, EndRule | None]:
    """Return the end of what another gateway has been paid for: the next payment, if it is later than today."""
    until, _ = read_end(cells["next_payment_date"], context.zone)
    today = datetime.fromtimestamp(context.now, context.zone).date()
    if until is not None and until > day_begins(context.zone, today + timedelta(days=1)):
        return until, None
    return None, "recurring"


PMP = ExportFormat(
    name="pmp",
    title="Paid Memberships Pro's members export",
    reader_column="id",
    columns=(("membership",), ("subscription_transaction_id",), ("expires", "ended")),
    read_row=_read_row,
)
