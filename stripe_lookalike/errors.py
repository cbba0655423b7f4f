"""Stripe's error responses: one exception that holds the status and body.

A body is `{"error": {"type", "code", "message", "param", …}}`, as in docs.stripe.com/api/errors.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An error response. `extra` adds fields to the error object, such as `decline_code` and `payment_intent`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        extra: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: Json = {"error": {"type": kind, "message": message}}
        if code:
            self.body["error"]["code"] = code
            self.body["error"]["doc_url"] = f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"
        if param:
            self.body["error"]["param"] = param
        self.body["error"].update(extra or {})


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400: a parameter is wrong, or the object's state doesn't allow this."""
    return ApiError(400, message, param=param, code=code)


def missing(kind: str, object_id: str, param: str = "id", status: int = 404) -> ApiError:
    """Return a 404 `resource_missing`. Stripe answers 400 where the ID was a parameter and not in the path."""
    return ApiError(status, f"No such {kind}: '{object_id}'", code="resource_missing", param=param)


def declined(charge: str, intent: Json) -> ApiError:
    """Return a 402 for a declined card, with the payment intent in the error."""
    return ApiError(
        402,
        "Your card was declined.",
        kind="card_error",
        code="card_declined",
        extra={"decline_code": "generic_decline", "charge": charge, "payment_intent": intent},
    )
