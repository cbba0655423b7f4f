"""What `PAYWALL_SECRETS` are for: sealed texts that only we can read, marks and signatures that only we can make.

The first secret seals and signs; all of them open and verify, so that a secret can be rotated. Each purpose has a key of
its own, derived from the secret, so that what was sealed for one never opens for another.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b, sha256
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


def _derive(secret: str, purpose: str) -> bytes:
    """32 bytes of this secret for this purpose alone."""
    return blake2b(purpose.encode(), key=sha256(secret.encode()).digest(), digest_size=32).digest()


class Sealer:
    """Seals and opens texts for one purpose (AES-256-GCM, base64url)."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._ciphers = [AESGCM(_derive(secret, purpose)) for secret in secrets]
        self._first = self._ciphers[0]

    def seal(self, text: bytes) -> str:
        """A URL-safe text without padding; 4/3 of the length and 38 characters more."""
        nonce = urandom(NONCE)
        return urlsafe_b64encode(nonce + self._first.encrypt(nonce, text, None)).rstrip(b"=").decode()

    def open(self, sealed: str) -> bytes | None:
        """What was sealed; `None` for anything that was not sealed by us for this purpose, or was changed since."""
        try:
            raw = urlsafe_b64decode(sealed.encode("ascii") + b"=" * (-len(sealed) % 4))
        except ValueError:
            return None
        # A text that base64 reads leniently (stray bits, odd characters) is a changed text.
        if urlsafe_b64encode(raw).rstrip(b"=") != sealed.encode("ascii") or len(raw) < NONCE:
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[:NONCE], raw[NONCE:], None)
            except InvalidTag:
                continue
        return None


class Signer:
    """Makes and checks marks (HMAC-SHA-256, hex) for one purpose."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = [_derive(secret, purpose) for secret in secrets]

    def mark(self, text: bytes) -> str:
        """64 hex characters."""
        return hmac.new(self._keys[0], text, sha256).hexdigest()

    def made(self, text: bytes, mark: str) -> bool:
        """Whether any of our secrets made this mark of this text."""
        return any(hmac.compare_digest(hmac.new(key, text, sha256).hexdigest(), mark) for key in self._keys)


def derive_signing_keys(secrets: Sequence[str], purpose: str) -> list[Ed25519PrivateKey]:
    """Return an Ed25519 key of each secret for one purpose; the first signs, the public keys of all verify."""
    return [Ed25519PrivateKey.from_private_bytes(_derive(secret, purpose)) for secret in secrets]
