"""Tokens of invitations: a signed token that names an invitation, the subscription whose seat it is for, and its expiry.

Only the store knows whether an invitation is still open (`service.adapters.redis.stripe_objects.seats`).

    payload  {"jti": the invitation's ID, "sub": the subscription's ID, "exp": its expiry in Unix seconds}
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from service.adapters.crypto import SigningKeys
from service.adapters.signed_tokens import SignedTokens


class InvitationClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "subscription": "sub", "until": "exp"}):
    """The claims of an invitation's token."""

    id: str
    subscription: str
    until: int


class InvitationTokens(SignedTokens[InvitationClaims]):
    """Sign and verify the tokens of invitations."""

    def __init__(self, private_keys: Callable[[], SigningKeys]) -> None:
        super().__init__(private_keys, InvitationClaims)
