"""What can go wrong with Stripe, and what it means.

    StripeTrouble
    ├── StripeUnavailable   it may work later: what we hold stays, and is asked for again
    ├── StripeRefused       it never will, until a person mends the key or the request
    └── NoSuchObject        Stripe has no such object (or not in this mode)

`MEANING` is the only place that says which answer of Stripe means what. No message repeats a parameter or an id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stripe

Answer = TypeVar("Answer")


class StripeTrouble(Exception):
    """`why` is a constant word, fit for a log and a metric."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class StripeUnavailable(StripeTrouble):
    """Out of reach, failing, or asked too often. `retry_after`: seconds after which it is worth another try."""

    def __init__(self, why: str, retry_after: float = 1.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class StripeRefused(StripeTrouble):
    """Stripe understood, and does not want to: the key is wrong, may not, or a parameter is wrong."""


class NoSuchObject(StripeTrouble):
    """404, or 400 with `resource_missing`."""

    def __init__(self) -> None:
        super().__init__("no_such_object")


UNREACHABLE = "unreachable"
"""Nobody answers, or not in time."""

MEANING: tuple[tuple[type[stripe.StripeError], str, type[StripeTrouble]], ...] = (
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
    except StripeTrouble:
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


def meaning(error: stripe.StripeError) -> StripeTrouble:
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
