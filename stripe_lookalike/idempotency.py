"""`Idempotency-Key`: the same key with the same request gets the first answer; with another request it is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from stripe_lookalike.errors import ApiError, Json


@dataclass
class Kept:
    """The first answer to a key."""

    request: str
    status: int
    body: bytes


class IdempotencyKeys:
    """Kept for as long as the process lives; Stripe keeps them for a day at least."""

    def __init__(self) -> None:
        self._answers: dict[str, Kept] = {}

    def seen(self, key: str, fingerprint: str) -> Kept | None:
        """The kept answer; 400 where the key came with another request."""
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
        self._answers[key] = Kept(fingerprint, status, body)


def fingerprint(method: str, path: str, params: Json) -> str:
    """What makes two requests the same."""
    said = json.dumps([method, path, params], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
