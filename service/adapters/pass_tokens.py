"""Tokens of story passes: a compact JWS (RFC 7515, EdDSA with Ed25519) that names a pass, its story and its expiry.

Anyone with the public keys (`/.well-known/jwks.json`) can verify a token, so an edge can reject what is forged or
expired; only the service knows whether a pass was revoked or used up. The key pairs are derived from
`PAYWALL_SECRETS`: the first secret signs, all verify. A pass always has the same token, so no token is stored.

    header   {"alg": "EdDSA", "kid": …, "typ": "JWT"}
    payload  {"jti": the pass's ID, "story": the story's ID, "exp": its expiry in Unix seconds}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from service.adapters.crypto import SigningKeys
from service.domain.story_passes import StoryPass

if TYPE_CHECKING:
    from service.adapters.pass_signatures import PassSignatures

MAX_TOKEN_LENGTH = 2_000
_CACHED_TOKENS = 4_096

_encode = msgspec.json.Encoder().encode


class PassClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "until": "exp"}):
    """The claims of a token."""

    id: str
    story: str
    until: int


class PassTokens:
    """Sign and verify tokens.

    Every method raises `StoreUnavailable` while `private_keys` cannot read a secret that is kept in the store.
    """

    def __init__(self, private_keys: Callable[[], SigningKeys]) -> None:
        self._private_keys = private_keys
        # Many readers open the same token: its signature is verified once. What is invalid is remembered too.
        self._read = lru_cache(maxsize=_CACHED_TOKENS)(self._verify)

    def sign(self, story_pass: StoryPass) -> str:
        """Return the token of a pass: about 300 characters, URL-safe."""
        signing = self._private_keys()
        key = len(signing.current) if story_pass.is_former else 0
        return self._signatures.sign(_encode(PassClaims(story_pass.id, story_pass.story, story_pass.until)), key)

    def read(self, token: str) -> PassClaims | None:
        """Return the claims of a token; `None` if it is not ours or was changed. The expiry is not checked."""
        return self._read(token) if len(token) <= MAX_TOKEN_LENGTH else None

    def public_keys(self, *, with_former: bool) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517, RFC 8037); the first is the one that signs.

        Those of an earlier release are in it only if asked for (`SigningKeys.former`).
        """
        return {"keys": self._signatures.public_keys()[: None if with_former else len(self._private_keys().current)]}

    @cached_property
    def _signatures(self) -> PassSignatures:
        from service.adapters.pass_signatures import PassSignatures  # with the first token: it takes 0.05 s of CPU

        current, former = self._private_keys()
        return PassSignatures([*current, *former])

    def _verify(self, token: str) -> PassClaims | None:
        payload = self._signatures.verify(token)
        try:
            return msgspec.json.decode(payload, type=PassClaims) if payload is not None else None
        except msgspec.DecodeError:
            return None
