"""What the doctor reports: a line for the operator, and the section of the Stripe guide that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GUIDE = "docs/how-to/stripe.md"
SECTIONS = {
    "account": "the-api-key",
    "stripe": "the-api-key",
    "webhook": "the-webhook-endpoint",
    "endpoint": "the-webhook-endpoint",
    "types": "the-webhook-endpoint",
    "version": "the-webhook-endpoint",
    "mode": "going-live",
    "price": "products-and-prices",
    "metadata": "which-reader-a-payment-belongs-to",
    "events": "when-a-payment-opens-nothing",
}
"""Subject of a finding → the section of the Stripe guide that says what to do."""

Level = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `wrong` requires a fix, and makes the exit status 1."""

    level: Level
    subject: str
    message: str

    @property
    def guide(self) -> str | None:
        """Return the page and section that says what to do, for a finding about Stripe that is not good."""
        section = None if self.level == "good" else SECTIONS.get(self.subject)
        return section and f"{GUIDE}#{section}"
