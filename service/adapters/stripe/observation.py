"""What metrics and traces learn of a request to Stripe: its method, a template of its path, and its outcome.

No part of it identifies a reader: an ID in the path is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

UNREACHABLE = "unreachable"
"""No response arrives, or not in time."""

StripeOutcome = Literal["ok", "not_found", "unauthorized", "invalid", "rate_limited", "failing", "unreachable"]


@dataclass(slots=True)
class StripeRequest:
    """A request to Stripe under way; `status` is set when the response is there."""

    status: int | None = None

    @property
    def outcome(self) -> StripeOutcome:
        """Return the outcome in one word, which says who has to act."""
        match self.status:
            case None:
                return "unreachable"
            case 401 | 403:
                return "unauthorized"
            case 404:
                return "not_found"
            case 429:
                return "rate_limited"
        return "ok" if self.status < 400 else "invalid" if self.status < 500 else "failing"


Observe = Callable[[str, str], AbstractContextManager[StripeRequest]]
"""Observes a request by its method and the template of its path, such as `/v1/subscriptions/{id}`."""


def unobserved(method: str, template: str) -> AbstractContextManager[StripeRequest]:
    """Observe nothing."""
    return nullcontext(StripeRequest())


_RESOURCES = frozenset(
    {"account", "active_entitlements", "billing_portal", "charges", "checkout", "customers", "disputes", "entitlements"}
    | {"events", "invoice_payments", "invoices", "line_items", "payment_intents", "prices", "products", "refunds"}
    | {"sessions", "subscription_items", "subscriptions", "v1", "v2", "webhook_endpoints"}
)


def path_template(url: str) -> str:
    """Return the path of a request to Stripe with `{id}` for what is no resource's name: an ID stands for a reader."""
    path = urlsplit(url).path.strip("/")
    return "/" + "/".join(part if part in _RESOURCES else "{id}" for part in path.split("/"))
