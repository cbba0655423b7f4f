"""Ghost's members export: Members → Export all members.

The file names the smallest ID of all customers of a member, not the one who pays, and keeps it when they stop paying. It
holds neither the status of a subscription nor the end of a gift or a complimentary plan. `gift_id` stays when the gift has
ended: only the tier says that access runs.
"""

from __future__ import annotations

from collections.abc import Collection

from service.use_cases.takeover.formats.export_format import (
    Cells,
    ExportedMember,
    ExportFormat,
    ReadingContext,
    customer_id,
)


def _read_row(cells: Cells, context: ReadingContext) -> ExportedMember:
    complimentary = cells["complimentary_plan"].lower() == "true"
    tiers = split_tiers(cells["tiers"] or cells["products"], context.known_levels)
    customer, gift = customer_id(cells["stripe_customer_id"]), bool(cells["gift_id"])
    is_paying = customer is not None and not complimentary
    return ExportedMember(
        reader=cells[context.reader_column],
        access=complimentary or bool(tiers),
        levels=tiers or ("",),
        carrier=("either" if gift else "stripe") if is_paying else "grant",
        customer=customer,
        end_rule="complimentary" if complimentary else "gift" if gift else None if is_paying else "recurring",
    )


def split_tiers(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the names of tiers that commas join; a known name can contain a comma itself."""
    found, parts = list[str](), [part for part in text.split(",") if part.strip()]
    start = 0
    while start < len(parts):
        ends = range(len(parts), start, -1)
        joined = {end: ",".join(parts[start:end]).strip() for end in ends}
        end = next((end for end in ends if joined[end] in known), start + 1)
        found.append(joined[end])
        start = end
    return tuple(dict.fromkeys(found))


GHOST = ExportFormat(
    name="ghost",
    title="Ghost's members export",
    reader_column="id",
    columns=(("complimentary_plan",), ("stripe_customer_id",), ("tiers", "products")),
    read_row=_read_row,
)
