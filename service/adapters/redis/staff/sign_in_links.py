"""Links that sign a browser in once: a hash of each link's token, for ten minutes, with the key that it stands for.

link:<hash>   the digest of an admin key, in hex, and who created the link
"""

from __future__ import annotations

from hashlib import sha256
from secrets import token_urlsafe

from service.adapters.redis.records import StoreRecords, decode_list, encode_json

VALID_FOR = 600
"""Seconds."""


class SignInLinks(StoreRecords):
    """Creates and redeems the tokens of links. Raises: StoreUnavailable from every method."""

    def create(self, key_digest: bytes, made_by: str) -> str:
        """Return the token of a new link for the key with this digest."""
        token = token_urlsafe(32)
        self._call(b"SET", self._key(token), encode_json((key_digest.hex(), made_by)), b"EX", VALID_FOR)
        return token

    def redeem(self, token: str) -> tuple[bytes, str] | None:
        """Return the key's digest and who created the link, once; `None` if the link was used, expired or never existed."""
        found = self._call(b"GETDEL", self._key(token))
        if found is None:
            return None
        digest, made_by = decode_list(found)
        return bytes.fromhex(digest), made_by

    def _key(self, token: str) -> bytes:
        return self.keys.admin(f"link:{sha256(token.encode()).hexdigest()[:32]}")
