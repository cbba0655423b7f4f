"""Test that keys are derived slowly, and that what an earlier release sealed and signed still opens and verifies."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b, scrypt, sha256
from os import urandom

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.adapters.crypto import NONCE, Sealer, Signer

SECRET = "secret-of-the-tests-0123456789abcdef"


def former_key(secret: str, purpose: str) -> bytes:
    """Derive a key as the releases before 0.1.0 did."""
    return blake2b(purpose.encode(), key=sha256(secret.encode()).digest(), digest_size=32).digest()


def slow_key(secret: str, purpose: str) -> bytes:
    """Derive a key with the cost that guessing must have: 32 MiB and a tenth of a second."""
    stretched = scrypt(secret.encode(), salt=b"paywall", n=32_768, r=8, p=1, maxmem=1 << 26, dklen=32)
    return blake2b(purpose.encode(), key=stretched, digest_size=32).digest()


def test_sealed_text_opens_only_with_the_slow_key() -> None:
    sealed = Sealer([SECRET], "decision").seal(b"text")
    raw = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert AESGCM(slow_key(SECRET, "decision")).decrypt(raw[:NONCE], raw[NONCE:], None) == b"text"
    with pytest.raises(InvalidTag):
        AESGCM(former_key(SECRET, "decision")).decrypt(raw[:NONCE], raw[NONCE:], None)


@pytest.mark.parametrize("secrets", [[SECRET], ["newer-" + SECRET, SECRET]])
def test_text_sealed_by_an_earlier_release_opens(secrets: list[str]) -> None:
    nonce = urandom(NONCE)
    raw = nonce + AESGCM(former_key(SECRET, "session")).encrypt(nonce, b"text", None)
    sealed = urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert Sealer(secrets, "session").open(sealed) == b"text"
    assert Sealer(secrets, "decision").open(sealed) is None
    assert Sealer(["another-" + SECRET], "session").open(sealed) is None


def test_signature_of_an_earlier_release_verifies_and_a_new_one_is_slow() -> None:
    signer = Signer(["newer-" + SECRET, SECRET], "audit")
    former = hmac.new(former_key(SECRET, "audit"), b"text", sha256).hexdigest()
    assert signer.verify(b"text", former)
    assert not signer.verify(b"other", former)
    assert signer.sign(b"text") == hmac.new(slow_key("newer-" + SECRET, "audit"), b"text", sha256).hexdigest()
