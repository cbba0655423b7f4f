"""Turn the SDK's errors into the domain's: `MEANING` is the only place that says which answer of Stripe means what.

What is logged repeats no parameter and no ID; only `StripeRefused` and `NoSuchObject` carry Stripe's own sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stripe

from service.adapters.stripe.observation import UNREACHABLE
from service.domain.errors import NoSuchObject, StripeFailure, StripeRefused, StripeUnavailable

Result = TypeVar("Result")


MEANING: tuple[tuple[type[stripe.StripeError], str, type[StripeFailure]], ...] = (
    (stripe.APIConnectionError, UNREACHABLE, StripeUnavailable),
    (stripe.RateLimitError, "rate_limited", StripeUnavailable),
    (stripe.AuthenticationError, "key_unknown", StripeRefused),
    (stripe.PermissionError, "key_may_not", StripeRefused),
    (stripe.IdempotencyError, "key_used_otherwise", StripeRefused),
    (stripe.CardError, "card_declined", StripeRefused),
    (stripe.StripeError, "failing", StripeUnavailable),
)
"""The SDK's error → its word in logs and metrics, and its failure; the first that fits."""

WRONG_REQUEST = "request_wrong"
"""The word for `InvalidRequestError`, whose answer names the parameter."""
_LONGEST_MESSAGE = 500

IN_USE = "idempotency_key_in_use"
"""Stripe's code, with status 409, for a request whose idempotency key is in use by one under way."""


@contextmanager
def domain_errors() -> Iterator[None]:
    """Raise every error of the SDK as a StripeFailure."""
    try:
        yield
    except StripeFailure:
        raise
    except stripe.StripeError as error:
        raise failure_of(error) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # The response is not Stripe's: a proxy's page, or JSON of another shape, on which the SDK fails.
        raise StripeUnavailable("odd_answer") from None


def none_if_missing(call: Callable[[], Result]) -> Result | None:
    """Return what the call returns, or `None` if Stripe has no such object."""
    try:
        with domain_errors():
            return call()
    except NoSuchObject:
        return None


def failure_of(error: stripe.StripeError) -> StripeFailure:
    """Return the failure that an error of the SDK stands for."""
    status = error.http_status or 0
    is_request = isinstance(error, stripe.InvalidRequestError)
    at_fault = (str(getattr(error, "param", None) or ""), (error.user_message or "")[:_LONGEST_MESSAGE])
    if is_request and (error.code == "resource_missing" or status == 404):
        return NoSuchObject(*at_fault)  # No other 404: a proxy's page says nothing about Stripe's objects.
    if error.code in ("rate_limit", "lock_timeout"):  # A 429 does not get here: `transport` pauses all requests.
        return StripeUnavailable("rate_limited")
    if error.code == IN_USE or status == 409:
        return StripeUnavailable("in_use", retry_after=0.2)
    if status >= 500:
        return StripeUnavailable("failing")
    if is_request:
        return StripeRefused(WRONG_REQUEST, *at_fault)
    word, kind = next((word, kind) for sdk_error, word, kind in MEANING if isinstance(error, sdk_error))
    return kind(word)
