"""Test pass tokens, which anyone can verify with the public keys."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.crypto import derive_signing_keys
from service.adapters.signed_tokens import PassClaims, PassTokens
from service.domain.story_passes import StoryPass

PASS = StoryPass("sp_1", "2026-harbour", 5, 1_800_000_000, "why", "ann", 1_790_000_000.5)


def tokens(*secrets: str) -> PassTokens:
    return PassTokens(lambda: derive_signing_keys(secrets, "pass"))


def plain(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_pass_token_verifies_with_the_public_keys_alone() -> None:
    own = tokens("one secret", "another")
    head, payload, signature = own.sign_pass(PASS).split(".")
    header = json.loads(plain(head))
    assert header["alg"] == "EdDSA"
    (key,) = [key for key in own.public_keys(with_former=False)["keys"] if key["kid"] == header["kid"]]
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
    Ed25519PublicKey.from_public_bytes(plain(key["x"])).verify(plain(signature), f"{head}.{payload}".encode())
    assert json.loads(plain(payload)) == {"jti": "sp_1", "story": "2026-harbour", "exp": 1_800_000_000}


def test_pass_token_is_stable_and_bound_to_its_secret() -> None:
    assert tokens("a secret").sign_pass(PASS) == tokens("a secret").sign_pass(PASS)
    assert tokens("a secret").read(tokens("b secret").sign_pass(PASS)) is None
    assert tokens("b secret", "a secret").read(tokens("a secret").sign_pass(PASS)) is not None


@given(st.data())
def test_pass_token_changed_in_one_character_is_invalid(data: st.DataObject) -> None:
    own = tokens("a secret")
    token = own.sign_pass(PASS)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([c for c in "ABCXYZabcxyz0189-_.=é" if c != token[place]]))
    assert own.read(token[:place] + other + token[place + 1 :]) is None


@given(st.text(max_size=300))
def test_random_text_as_pass_token_is_invalid_without_an_error(text: str) -> None:
    assert tokens("a secret").read(text) is None


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "EdDSA"}, [], 1, None, {"alg": 1}])
def test_pass_token_with_another_header_is_invalid(header: object) -> None:
    own = tokens("a secret")
    _, payload, signature = own.sign_pass(PASS).split(".")
    head = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert own.read(f"{head}.{payload}.{signature}") is None


# Signed by the first release's own code, from the secret "a secret".
OLD_TOKEN = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6InJqNjJiTVAtRkVqX2lvZnZUUk1vRlEiLCJ0eXAiOiJKV1QifQ"
    ".eyJqdGkiOiJzcF8xIiwic3RvcnkiOiJncsO2w59lIFwieFwi4oCofy_DqSIsImV4cCI6MTgwMDAwMDAwMH0"
    ".SWLUk54dyUT-fKLK14G9c6dcSVaB6CXiFQqpX4_K-viw_Wv4BaBN6_i02xZnyYj_Ps7WXqFVzG7qarzxCE_nCw"
)
OLD_PUBLIC_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "-TzBH9ODNvo0AvcWheA3a09jS6SCoVQku0vvSmn06M0",
    "kid": "rj62bMP-FEj_iofvTRMoFQ",
    "use": "sig",
    "alg": "EdDSA",
}


def test_pass_token_signed_by_an_older_version_is_read_and_signed_alike() -> None:
    own = tokens("a secret")
    former = replace(PASS, story='größe "x"\u2028\x7f/é', is_former=True)
    assert own.read(OLD_TOKEN) == PassClaims("sp_1", former.story, 1_800_000_000)
    assert own.sign_pass(former) == OLD_TOKEN
    (current,) = own.public_keys(with_former=False)["keys"]
    assert own.public_keys(with_former=True) == {"keys": [current, OLD_PUBLIC_KEY]}
    head, payload, _ = own.sign_pass(replace(former, is_former=False)).split(".")
    assert payload == OLD_TOKEN.split(".")[1]
    assert json.loads(plain(head)) == {"alg": "EdDSA", "kid": current["kid"], "typ": "JWT"}


def part(text: object) -> str:
    raw = text if isinstance(text, bytes) else json.dumps(text).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: object, key: Ed25519PrivateKey) -> str:
    """Return a token with any header, signed as the service signs."""
    text = f"{part(header)}.{part({'jti': 'sp_1', 'story': '2026-harbour', 'exp': 1_800_000_000})}"
    return f"{text}.{part(key.sign(text.encode()))}"


@pytest.mark.parametrize(
    "change",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": "b64", "b64": False},
        {"crit": ["b64"], "b64": False},
        {"crit": ["unknown"]},
        {"kid": "unknown"},
        {"kid": None},
        {"alg": "Ed25519"},
        {"alg": "none"},
        {"alg": ["EdDSA"]},
        {"unknown": 1},
    ],
)
def test_pass_token_with_a_hostile_header_is_invalid_even_when_signed(change: dict[str, object]) -> None:
    (key,) = derive_signing_keys(["a secret"], "pass").former
    header = {"alg": "EdDSA", "kid": OLD_PUBLIC_KEY["kid"], "typ": "JWT"}
    assert tokens("a secret").read(signed(header, key)) is not None
    assert tokens("a secret").read(signed(header | change, key)) is None


def test_pass_token_signed_by_the_key_in_its_own_header_is_invalid() -> None:
    other = Ed25519PrivateKey.generate()
    jwk = OLD_PUBLIC_KEY | {"x": part(other.public_key().public_bytes_raw())}
    for kid in (OLD_PUBLIC_KEY["kid"], "own"):
        header = {"alg": "EdDSA", "kid": kid, "typ": "JWT", "jwk": jwk | {"kid": kid}}
        assert tokens("a secret").read(signed(header, other)) is None


@pytest.mark.parametrize("secret", [OLD_PUBLIC_KEY["x"].encode(), plain(OLD_PUBLIC_KEY["x"])])
def test_pass_token_with_an_hmac_by_the_public_key_is_invalid(secret: bytes) -> None:
    text = f"{part({'alg': 'HS256', 'kid': OLD_PUBLIC_KEY['kid'], 'typ': 'JWT'})}.{OLD_TOKEN.split('.')[1]}"
    token = f"{text}.{part(hmac.new(secret, text.encode(), sha256).digest())}"
    assert tokens("a secret").read(token) is None
