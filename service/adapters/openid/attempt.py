"""A sign-in under way, from the way to the provider until the user comes back, and how it fails."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Literal

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


SignInFailureKind = Literal["away", "denied", "unaccepted", "no_name", "unverified", "no_group"]
"""The value of `refused` in the address of the sign-in page, and of `kind` in the log.

away        the provider is unavailable
denied      the provider or the user refused
unaccepted  the provider's response is invalid
no_name     the provider sends no name that can stand in the audit log
unverified  the provider has not verified the email address
no_group    none of the user's groups has a role here
"""

_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class SignInFailed(Exception):
    """The provider did not sign the user in.

    `reason` is a word of ours or an error code of the standard, never a message: a message may quote what was sent.
    """

    def __init__(self, kind: SignInFailureKind, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason


def error_code(error: object) -> str:
    """Return the error code that the provider sent, or `unknown_code` if it does not look like one."""
    return error if isinstance(error, str) and _ERROR_CODE.fullmatch(error) else "unknown_code"
