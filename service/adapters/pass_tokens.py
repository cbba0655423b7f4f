"""Tokens of story passes: a signed token that names a pass, its story and its expiry.

Anyone with the public keys (`/.well-known/jwks.json`) can verify a token, so an edge can reject what is forged or
expired; only the service knows whether a pass was revoked or used up.

    payload  {"jti": the pass's ID, "story": the story's ID, "exp": its expiry in Unix seconds}
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from service.adapters.crypto import SigningKeys
from service.adapters.signed_tokens import SignedTokens
from service.domain.story_passes import StoryPass


class PassClaims(msgspec.Struct, frozen=True, rename={"id": "jti", "until": "exp"}):
    """The claims of a story pass's token."""

    id: str
    story: str
    until: int


class PassTokens(SignedTokens[PassClaims]):
    """Sign and verify the tokens of story passes."""

    def __init__(self, private_keys: Callable[[], SigningKeys]) -> None:
        super().__init__(private_keys, PassClaims)

    def sign(self, story_pass: StoryPass) -> str:
        claims = PassClaims(story_pass.id, story_pass.story, story_pass.until)
        return self.sign_claims(claims, with_former=story_pass.is_former)
