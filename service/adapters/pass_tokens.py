"""Tokens of story passes: a compact JWS (RFC 7515, EdDSA with Ed25519) that names a pass, its story and its expiry.

Anyone with the public keys (`/.well-known/jwks.json`) can verify a token, so an edge can reject what is forged or
expired; only the service knows whether a pass was revoked or used up. The key pairs are derived from
`PAYWALL_SECRETS`: the first secret signs, all verify. A pass always has the same token, so no token is stored.

    header   {"alg": "EdDSA", "kid": …, "typ": "JWT"}
    payload  {"jti": the pass's ID, "story": the story's ID, "exp": its expiry in Unix seconds}
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact

from service.adapters.crypto import SigningKeys
from service.domain.story_passes import StoryPass

MAX_TOKEN_LENGTH = 2_000
_CACHED_TOKENS = 4_096

_encode = msgspec.json.Encoder().encode


class PassClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "until": "exp"}):
    """The claims of a token."""

    id: str
    story: str
    until: int


class _EdDSARegistry(JWSRegistry):
    """Allows `EdDSA` alone, and does not warn that RFC 9864 prefers `Ed25519`: tokens in use carry `EdDSA`."""

    def get_alg(self, name: str) -> Any:  # joserfc exports no name for its type
        if name != "EdDSA":
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _EdDSARegistry()


class PassTokens:
    """Sign and verify tokens.

    Every method raises `StoreUnavailable` while `private_keys` cannot read a secret that is kept in the store.
    """

    def __init__(self, private_keys: Callable[[], SigningKeys]) -> None:
        self._private_keys = private_keys
        self._key_set: KeySet | None = None
        # Many readers open the same token: its signature is verified once. What is invalid is remembered too.
        self._read = lru_cache(maxsize=_CACHED_TOKENS)(self._verify)

    def sign(self, story_pass: StoryPass) -> str:
        """Return the token of a pass: about 300 characters, URL-safe."""
        signing = self._private_keys()
        key = self._keys().keys[len(signing.current) if story_pass.is_former else 0]
        header = {"alg": "EdDSA", "kid": key.kid, "typ": "JWT"}
        payload = _encode(PassClaims(story_pass.id, story_pass.story, story_pass.until))
        return serialize_compact(header, payload, key, registry=_REGISTRY)

    def read(self, token: str) -> PassClaims | None:
        """Return the claims of a token; `None` if it is not ours or was changed. The expiry is not checked."""
        return self._read(token) if len(token) <= MAX_TOKEN_LENGTH else None

    def public_keys(self, *, with_former: bool) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517, RFC 8037); the first is the one that signs.

        Those of an earlier release are in it only if asked for (`SigningKeys.former`).
        """
        keys = self._keys().keys
        shown = keys if with_former else keys[: len(self._private_keys().current)]
        return {"keys": [key.as_dict(private=False) for key in shown]}

    def _keys(self) -> KeySet:
        if self._key_set is None:
            current, former = self._private_keys()
            self._key_set = KeySet([_jwk(key) for key in (*current, *former)])
        return self._key_set

    def _verify(self, token: str) -> PassClaims | None:
        keys = self._keys()
        try:
            verified = deserialize_compact(token, keys, registry=_REGISTRY)
            return msgspec.json.decode(verified.payload, type=PassClaims)
        except (JoseError, msgspec.DecodeError, ValueError, TypeError):
            return None


def _jwk(key: Ed25519PrivateKey) -> OKPKey:
    """Return the key as a JWK; its ID is the first half of its thumbprint (RFC 7638)."""
    thumbprint = urlsafe_b64decode(OKPKey(key, key).thumbprint() + "=")
    kid = urlsafe_b64encode(thumbprint[:16]).rstrip(b"=").decode()
    return OKPKey(key, key, {"kid": kid, "use": "sig", "alg": "EdDSA"})
