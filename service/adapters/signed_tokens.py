"""Signed tokens: a compact JWS (RFC 7515, EdDSA with Ed25519) whose payload is a JSON object of claims.

The key pairs are derived from `PAYWALL_SECRETS`, others for each purpose, so that a token of one purpose is invalid for
another: the first secret signs, all verify. Equal claims always have the same token, so no token is stored.

    header              {"alg": "EdDSA", "kid": …, "typ": "JWT"}
    of a story pass     {"jti": the pass's ID, "story": the story's ID, "exp": its expiry in Unix seconds}
    of an invitation    {"jti": the invitation's ID, "sub": the subscription's ID, "exp": its expiry in Unix seconds}

Anyone with the public keys (`/.well-known/jwks.json`) can verify the token of a pass, so an edge can reject what is forged or
expired. Only the store knows whether a pass was revoked or used up, and whether an invitation is still open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from service.adapters.crypto import SigningKeys
from service.domain.story_passes import StoryPass

if TYPE_CHECKING:
    from service.adapters.token_signatures import TokenSignatures

MAX_TOKEN_LENGTH = 2_000
_CACHED_TOKENS = 4_096

_encode = msgspec.json.Encoder().encode

Claims = TypeVar("Claims", bound=msgspec.Struct)


class SignedTokens(Generic[Claims]):
    """Sign and verify tokens with these claims.

    Every method raises `StoreUnavailable` while `private_keys` cannot read a secret that is kept in the store.
    """

    def __init__(self, private_keys: Callable[[], SigningKeys], claims: type[Claims]) -> None:
        self._private_keys = private_keys
        self._claims = claims
        # Many readers open the same token: its signature is verified once. What is invalid is remembered too.
        self._read = lru_cache(maxsize=_CACHED_TOKENS)(self._verify)

    def sign(self, claims: Claims, *, with_former: bool = False) -> str:
        """Return the token of some claims: about 300 characters, URL-safe. `with_former`: by a key of `SigningKeys.former`."""
        key = len(self._private_keys().current) if with_former else 0
        return self._signatures.sign(_encode(claims), key)

    def read(self, token: str) -> Claims | None:
        """Return the claims of a token; `None` if it is not ours or was changed. The expiry is not checked."""
        return self._read(token) if len(token) <= MAX_TOKEN_LENGTH else None

    def public_keys(self, *, with_former: bool) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517, RFC 8037); the first is the one that signs.

        Those of an earlier release are in it only if asked for (`SigningKeys.former`).
        """
        return {"keys": self._signatures.public_keys()[: None if with_former else len(self._private_keys().current)]}

    @cached_property
    def _signatures(self) -> TokenSignatures:
        from service.adapters.token_signatures import TokenSignatures  # with the first token: it takes 0.05 s of CPU

        current, former = self._private_keys()
        return TokenSignatures([*current, *former])

    def _verify(self, token: str) -> Claims | None:
        payload = self._signatures.verify(token)
        try:
            return msgspec.json.decode(payload, type=self._claims) if payload is not None else None
        except msgspec.DecodeError:
            return None


class InvitationClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "subscription": "sub", "until": "exp"}):
    """The claims of an invitation's token."""

    id: str
    subscription: str
    until: int


class PassClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "until": "exp"}):
    """The claims of a story pass's token."""

    id: str
    story: str
    until: int


class PassTokens(SignedTokens[PassClaims]):
    """Sign and verify the tokens of story passes."""

    def __init__(self, private_keys: Callable[[], SigningKeys]) -> None:
        super().__init__(private_keys, PassClaims)

    def sign_pass(self, story_pass: StoryPass) -> str:
        claims = PassClaims(story_pass.id, story_pass.story, story_pass.until)
        return self.sign(claims, with_former=story_pass.is_former)
