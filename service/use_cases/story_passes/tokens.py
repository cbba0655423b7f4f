"""The links of story passes: a compact JWS (RFC 7515, EdDSA with Ed25519) that names a pass, its story and its end.

Whoever has the public keys (`/.well-known/jwks.json`) can check a link, so an edge may turn away what is made up or over;
only the service knows whether a pass was revoked or used up. The key pair is derived from `PAYWALL_SECRETS`: the first
secret signs, all verify. The same pass always has the same link, so it can be shown again and is kept nowhere.

    header   {"alg": "EdDSA", "kid": …, "typ": "JWT"}
    payload  {"jti": the pass's id, "story": the story's id, "exp": its end}
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from service.adapters.crypto import KeyPairs
from service.domain.story_passes import StoryPass

LONGEST = 2_000
_KNOWN = 10_000

_encode = msgspec.json.Encoder().encode


class Claims(msgspec.Struct, frozen=True, rename={"id": "jti", "until": "exp"}):
    """What a link says of its pass."""

    id: str
    story: str
    until: int


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str


@dataclass(frozen=True, slots=True)
class _Opened:
    """The key pairs with their names; made once, when the secrets are known."""

    pairs: KeyPairs
    kids: tuple[str, ...]


class PassTokens:
    """Makes and reads links. Every method raises `StoreUnavailable` while a secret kept in the store cannot be read."""

    def __init__(self, pairs: Callable[[], KeyPairs]) -> None:
        self._pairs = pairs
        self._opened: _Opened | None = None
        # A link is opened often, by many; its signature is looked at once. What is no link of ours is remembered too.
        self._read = lru_cache(maxsize=_KNOWN)(self._read_anew)

    def sign(self, story_pass: StoryPass) -> str:
        """The link's token of a pass: about 300 characters, URL-safe."""
        keys = self._keys()
        header = _part(_encode({"alg": "EdDSA", "kid": keys.kids[0], "typ": "JWT"}))
        payload = _part(_encode(Claims(story_pass.id, story_pass.story, story_pass.until)))
        signed = header + b"." + payload
        return (signed + b"." + _part(keys.pairs.sign(signed))).decode()

    def read(self, token: str) -> Claims | None:
        """What a token says; `None` for one that was not made by us, or was changed since."""
        return self._read(token) if len(token) <= LONGEST else None

    def public_keys(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517, 8037); the first is the one that signs."""
        keys = self._keys()
        found = [{**_jwk(public), "kid": kid} for public, kid in zip(keys.pairs.public, keys.kids, strict=True)]
        return {"keys": [{**key, "use": "sig", "alg": "EdDSA"} for key in found]}

    def _keys(self) -> _Opened:
        if self._opened is None:
            pairs = self._pairs()
            self._opened = _Opened(pairs, tuple(map(_thumbprint, pairs.public)))
        return self._opened

    def _read_anew(self, token: str) -> Claims | None:
        keys = self._keys()
        parts = token.split(".")
        texts = [_plain(part) for part in parts]
        if len(texts) != 3 or None in texts:
            return None
        head, payload, signature = texts
        try:
            header = msgspec.json.decode(head or b"", type=_Header)
            claims = msgspec.json.decode(payload or b"", type=Claims)
        except (msgspec.DecodeError, UnicodeError):
            return None
        if header.alg != "EdDSA" or header.kid not in keys.kids:
            return None
        signed = f"{parts[0]}.{parts[1]}".encode()
        return claims if keys.pairs.made(signed, signature or b"") else None


def _part(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _plain(part: str) -> bytes | None:
    """A part of a token; `None` where base64 would read leniently what was changed."""
    try:
        given = part.encode("ascii")
        raw = urlsafe_b64decode(given + b"=" * (-len(given) % 4))
    except ValueError:
        return None
    return raw if _part(raw) == given else None


def _jwk(public: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _part(public).decode()}


def _thumbprint(public: bytes) -> str:
    """A key's name: the first half of its thumbprint (RFC 7638)."""
    return _part(hashlib.sha256(_encode(_jwk(public))).digest()[:16]).decode()
