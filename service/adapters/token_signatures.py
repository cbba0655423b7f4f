"""The signatures of tokens: compact JWS with Ed25519, by joserfc."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact


class _EdDSARegistry(JWSRegistry):
    """Allows `EdDSA` alone, and does not warn that RFC 9864 prefers `Ed25519`: tokens in use carry `EdDSA`."""

    def get_alg(self, name: str) -> Any:  # joserfc exports no name for its type
        if name != "EdDSA":
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _EdDSARegistry()


class TokenSignatures:
    """Signs and verifies with key pairs."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        self._keys = [_jwk(key) for key in keys]
        self._key_set = KeySet([*self._keys])

    def sign(self, payload: bytes, number: int) -> str:
        """Return the JWS of a payload, signed with the key of this number."""
        key = self._keys[number]
        return serialize_compact({"alg": "EdDSA", "kid": key.kid, "typ": "JWT"}, payload, key, registry=_REGISTRY)

    def verify(self, token: str) -> bytes | None:
        """Return the payload that one of the keys signed; `None` if none did."""
        try:
            return deserialize_compact(token, self._key_set, registry=_REGISTRY).payload
        except (JoseError, ValueError, TypeError):
            return None

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the public keys as JWKs."""
        return [key.as_dict(private=False) for key in self._keys]


def _jwk(key: Ed25519PrivateKey) -> OKPKey:
    """Return the key as a JWK; its ID is the first half of its thumbprint (RFC 7638)."""
    thumbprint = urlsafe_b64decode(OKPKey(key, key).thumbprint() + "=")
    kid = urlsafe_b64encode(thumbprint[:16]).rstrip(b"=").decode()
    return OKPKey(key, key, {"kid": kid, "use": "sig", "alg": "EdDSA"})
