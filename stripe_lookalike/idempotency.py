"""`Idempotency-Key`: a repeated request gets the first response; another request with the same key is an error."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from stripe_lookalike.errors import ApiError, Json


@dataclass
class KeptResponse:
    """The first response to a key."""

    request: str
    status: int
    body: bytes


class IdempotencyKeys:
    """Keys and responses, kept until the process ends. Stripe keeps them for at least 24 hours."""

    def __init__(self) -> None:
        self._answers: dict[str, KeptResponse] = {}

    def seen(self, key: str, fingerprint: str) -> KeptResponse | None:
        """Return the kept response. Raises: `ApiError` 400 if the key belongs to another request."""
        kept = self._answers.get(key)
        if kept is not None and kept.request != fingerprint:
            raise ApiError(
                400,
                f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return kept

    def keep(self, key: str, fingerprint: str, status: int, body: bytes) -> None:
        self._answers[key] = KeptResponse(fingerprint, status, body)


def fingerprint(method: str, path: str, params: Json) -> str:
    """Return a hash of what makes two requests the same."""
    return hashlib.sha256(json.dumps([method, path, params], sort_keys=True).encode()).hexdigest()
