"""The exception for a sign-in that failed: a kind, for which the sign-in page has a sentence, and a reason for the log."""

from __future__ import annotations

import re
from typing import Literal

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
