"""A sign-in under way, from the way to the provider until the user comes back."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

ATTEMPT_SECONDS = 600
"""Seconds within which a user must come back from the provider."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What the browser keeps, sealed in a cookie, while the user is at the provider. `begun` is in Unix seconds."""

    state: str
    nonce: str
    verifier: str
    then: str | None
    begun: int

    def matches(self, state: str, now: float) -> bool:
        """Return whether a response with this state belongs to this attempt and comes in time."""
        return hmac.compare_digest(self.state.encode(), state.encode()) and now < self.begun + ATTEMPT_SECONDS
