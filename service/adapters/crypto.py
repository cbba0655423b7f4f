"""Encryption and signatures with `PAYWALL_SECRETS`, the digest by which keys are known, and random IDs.

The first secret seals and signs; all of them open and verify, so that you can rotate a secret. Each purpose has its own key,
derived from the secret, so that a text sealed for one purpose does not open for another. Deriving is slow, so that nobody can
guess a secret by what is sealed or signed with it. What an earlier release sealed or signed opens and verifies with its fast
derivation (`_former_key`), and nothing new does.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, scrypt, sha256
from itertools import count
from os import urandom
from typing import NamedTuple, TypeGuard

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12
_NONCES_OF_A_PREFIX = 1 << 32


class _Nonces:
    """Nonces that never repeat: 8 random bytes of this process, and a counter of 4 bytes. Thread-safe.

    Entirely random nonces could repeat after 2³² texts under one key, within days. A prefix is drawn anew after as many,
    and in a forked child.
    """

    def __init__(self) -> None:
        self.draw()
        os.register_at_fork(after_in_child=self.draw)

    def draw(self) -> None:
        """Begin a new prefix."""
        self._counted = (urandom(8), count())

    def next(self) -> bytes:
        prefix, numbers = self._counted
        number = next(numbers)
        if number >= _NONCES_OF_A_PREFIX:
            self.draw()
            return self.next()
        return prefix + number.to_bytes(4, "big")


_next_nonce = _Nonces().next


@lru_cache(maxsize=64)
def _stretched(secret: str) -> bytes:
    """Return 32 bytes of a secret that cost 0.1 s of CPU and 32 MiB, once in a process.

    The salt is the same everywhere, because `PAYWALL_SECRETS` must be enough to open a backup on another machine.
    """
    return scrypt(secret.encode(), salt=b"paywall", n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=32)


def derive_secrets(secrets: Sequence[str]) -> None:
    """Stretch secrets now; this process and its later forks then derive keys without a wait."""
    for secret in secrets:
        _stretched(secret)


def _key(secret: str, purpose: str) -> bytes:
    """Return the key (32 bytes) of a secret for a purpose."""
    return blake2b(purpose.encode(), key=_stretched(secret), digest_size=32).digest()


def _former_key(secret: str, purpose: str) -> bytes:
    """Return the key that a release before 0.1.0 had; it only opens and verifies."""
    return blake2b(purpose.encode(), key=sha256(secret.encode()).digest(), digest_size=32).digest()


def _all_keys(secrets: Sequence[str], purpose: str) -> list[bytes]:
    """Return all keys of a purpose; the first seals and signs."""
    return [derive(secret, purpose) for derive in (_key, _former_key) for secret in secrets]


def key_digest(secret: str) -> bytes:
    """Return the digest by which a key is known; the key itself is not stored."""
    return blake2b(secret.encode("utf-8", "surrogateescape"), digest_size=32, person=b"key").digest()


_CLAIM = 8
"""Bytes of the digest of a claim. The store adds a key to it, and makes it longer."""


def claim_digest(value: str) -> str:
    """Return the digest that stands for a value of Stripe's metadata, such as a reader's ID, in a fingerprint."""
    return blake2b(value.encode(), digest_size=_CLAIM).hexdigest()


def is_claim_digest(value: object, name: str) -> TypeGuard[str]:
    """Return whether a value in a fingerprint, under this name, is such a digest, without a key."""
    return name.startswith("metadata.") and isinstance(value, str) and len(value) == 2 * _CLAIM


class Sealer:
    """Seals and opens texts for one purpose (AES-256-GCM, base64url)."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._ciphers = [AESGCM(key) for key in _all_keys(secrets, purpose)]
        self._first = self._ciphers[0]

    def seal(self, text: bytes) -> str:
        """Encrypt a text. The result is URL-safe, without padding, 4/3 as long and 38 characters more."""
        nonce = _next_nonce()
        return urlsafe_b64encode(nonce + self._first.encrypt(nonce, text, None)).rstrip(b"=").decode()

    def open(self, sealed: str) -> bytes | None:
        """Decrypt a sealed text; return `None` if it was sealed elsewhere or for another purpose, or was changed."""
        return _decrypt(sealed, self._ciphers)

    def is_current(self, sealed: str) -> bool:
        """Return whether a text is sealed with the first secret, so that it opens without the others."""
        return _decrypt(sealed, [self._first]) is not None


def _decrypt(sealed: str, ciphers: Sequence[AESGCM]) -> bytes | None:
    try:
        raw = urlsafe_b64decode(sealed.encode("ascii") + b"=" * (-len(sealed) % 4))
    except ValueError:
        return None
    # base64 ignores stray bits and foreign characters; such a text was changed.
    if urlsafe_b64encode(raw).rstrip(b"=") != sealed.encode("ascii") or len(raw) < NONCE:
        return None
    for cipher in ciphers:
        try:
            return cipher.decrypt(raw[:NONCE], raw[NONCE:], None)
        except InvalidTag:
            continue
    return None


class Signer:
    """Makes and checks MACs (HMAC-SHA-256, hex) for one purpose."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = _all_keys(secrets, purpose)

    def sign(self, text: bytes) -> str:
        """Return the MAC of a text, 64 hex characters."""
        return hmac.new(self._keys[0], text, sha256).hexdigest()

    def verify(self, text: bytes, mac: str) -> bool:
        """Return whether this is the MAC of the text by any of the secrets; `mac` can be any text."""
        given = mac.encode("utf-8", "surrogatepass")  # `compare_digest` takes text only if it is ASCII.
        return any(hmac.compare_digest(hmac.new(key, text, sha256).hexdigest().encode(), given) for key in self._keys)


class SigningKeys(NamedTuple):
    """Ed25519 keys for one purpose. The first of `current` signs; the public keys of all verify."""

    current: list[Ed25519PrivateKey]
    former: list[Ed25519PrivateKey]
    """The keys that a release before 0.1.0 had. Whoever knows one's public key can guess the secret fast."""


def derive_signing_keys(secrets: Sequence[str], purpose: str) -> SigningKeys:
    """Return the key pairs of each secret for one purpose."""
    pairs = (
        [Ed25519PrivateKey.from_private_bytes(derive(one, purpose)) for one in secrets]
        for derive in (_key, _former_key)
    )
    return SigningKeys(*pairs)


def new_token(now: float) -> str:
    """Return 24 hexadecimal digits that sort by the time they were made; one second may see several."""
    return f"{int(now * 1_000_000):014x}{secrets.token_hex(5)}"


def new_id(kind: str, now: float, token: str | None = None) -> str:
    """Return a new ID such as `gr_` and a token. A repeat of a request brings the same `token`, so it finds the same ID."""
    return f"{kind}_{token or new_token(now)}"
