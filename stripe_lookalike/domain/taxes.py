"""Sales tax as a small Stripe Tax: a percentage for the country, nothing for a business abroad with a tax ID."""

from __future__ import annotations

from stripe_lookalike.errors import Json

HOME = "US"
PERCENT = {"US": 8, "CA": 5, "GB": 20, "DE": 19, "FR": 20, "ES": 21, "SE": 25}
"""Country → the tax of a news subscription in the look-alike, in percent; elsewhere there is none."""


def percent(address: Json | None, has_tax_id: bool) -> int:
    """Return the percentage for a reader at this address."""
    country = (address or {}).get("country")
    return 0 if has_tax_id and country != HOME else PERCENT.get(country or "", 0)


def tax_on(amount: int, percentage: int) -> int:
    """Return the tax, which is added to an amount in cents."""
    return round(max(amount, 0) * percentage / 100)


def of_invoice(amount: int, tax: int) -> list[Json]:
    """Return an invoice's `total_taxes`."""
    return [
        {
            "amount": tax,
            "tax_behavior": "exclusive",
            "tax_rate_details": None,
            "taxability_reason": "standard_rated" if tax else "not_collecting",
            "taxable_amount": amount,
            "type": "tax_rate_details",
        }
    ]
