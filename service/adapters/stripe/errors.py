"""Turn the SDK's errors into the domain's: `MEANING` is the only place that says which answer of Stripe means what.

No message repeats a parameter or an ID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stripe

from service.domain.errors import NoSuchObject, StripeFailure, StripeRefused, StripeUnavailable

Answer = TypeVar("Answer")


UNREACHABLE = "unreachable"
"""Nobody answers, or not in time."""

MEANING: tuple[tuple[type[stripe.StripeError], str, type[StripeFailure]], ...] = (
    (stripe.APIConnectionError, UNREACHABLE, StripeUnavailable),
    (stripe.RateLimitError, "rate_limited", StripeUnavailable),
    (stripe.AuthenticationError, "key_unknown", StripeRefused),
    (stripe.PermissionError, "key_may_not", StripeRefused),
    (stripe.IdempotencyError, "key_used_otherwise", StripeRefused),
    (stripe.InvalidRequestError, "request_wrong", StripeRefused),
    (stripe.CardError, "card_declined", StripeRefused),
    (stripe.StripeError, "failing", StripeUnavailable),
)
"""The SDK's error → what it is called here, and what it means; the first that fits."""

IN_USE = "idempotency_key_in_use"
"""The same request is under way at this moment; Stripe's own code for it, with status 409."""


@contextmanager
def asking() -> Iterator[None]:
    """Turns whatever the SDK raises into one of ours."""
    try:
        yield
    except StripeFailure:
        raise
    except stripe.StripeError as error:
        raise meaning(error) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # What answered is not Stripe: a proxy's page, or JSON of another shape, on which the SDK stumbles.
        raise StripeUnavailable("odd_answer") from None


def unless_missing(call: Callable[[], Answer]) -> Answer | None:
    """What the call answers; `None` where Stripe has no such object."""
    try:
        with asking():
            return call()
    except NoSuchObject:
        return None


def meaning(error: stripe.StripeError) -> StripeFailure:
    """What an error of the SDK means here."""
    status = error.http_status or 0
    if isinstance(error, stripe.InvalidRequestError) and (error.code == "resource_missing" or status == 404):
        return NoSuchObject()  # Not any 404: a proxy's page says nothing about Stripe's objects.
    if status == 429 or error.code in ("rate_limit", "lock_timeout"):
        reason = (error.headers or {}).get("Stripe-Rate-Limited-Reason")
        return StripeUnavailable(f"rate_limited_{reason}" if reason else "rate_limited")
    if error.code == IN_USE or status == 409:
        return StripeUnavailable("in_use", retry_after=0.2)
    if status >= 500:
        return StripeUnavailable("failing")
    word, kind = next((word, kind) for known, word, kind in MEANING if isinstance(error, known))
    return kind(word)
