"""Validate story passes for an access check: from the link in a request to the pass in the store.

A link that cannot open the story is rejected before the store is asked: it is not one of this service, it is for another
story, it has expired, or a program brought it. The request is then answered as if it had no link, as is a request that names
neither a reader nor a visitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.adapters.redis.client.link import Command
from service.adapters.redis.story_passes.passes import Passes, admission_in
from service.adapters.signed_tokens import PassTokens
from service.domain.bots import is_bot
from service.domain.sources import Holding
from service.domain.story_passes import pass_holding

NEW_READER = ""
"""No reader has this ID, so no pass has admitted them."""


@dataclass(frozen=True, slots=True)
class PassClaim:
    """A valid link in a request: the pass it names, and for whom it would open the story."""

    pass_id: str
    story: str
    reader: str | None
    visitor: str | None


@dataclass(frozen=True, slots=True)
class ValidPass:
    """A pass that opens the story. With `uses_opening` a counted read must write that to the store first."""

    holding: Holding
    uses_opening: bool


class PassValidator:
    """Validates links. Raises: StoreUnavailable from every method; NewerSchema, if a newer service wrote the pass."""

    def __init__(self, tokens: PassTokens, passes: Passes) -> None:
        self._tokens = tokens
        self._passes = passes

    def claim(
        self, token: str, story: str, reader: str | None, visitor: str | None, user_agent: str | None, now: float
    ) -> PassClaim | None:
        """Return the claim of a request's link; `None` if it cannot open the story, whatever the store holds.

        The claim of a request without a reader and a visitor is that of whoever signs in next: it opens nothing now.
        """
        if user_agent is not None and is_bot(user_agent):
            return None
        if reader is None and visitor is None:
            reader = NEW_READER
        claims = self._tokens.read(token)
        if claims is None or claims.story != story or now >= claims.until:
            return None
        return PassClaim(claims.id, story, reader, visitor)

    def command(self, claim: PassClaim) -> Command:
        """Return the command that reads the pass in the check's one round trip."""
        return self._passes.read_command(claim.pass_id, claim.reader, claim.visitor)

    @staticmethod
    def valid_pass(claim: PassClaim, reply: Sequence[bytes | None]) -> ValidPass | None:
        """Return the pass that a reply to `command` holds; `None` if it does not open the story."""
        admission = admission_in(reply, reader=claim.reader is not None)
        if admission is None or not admission.lets_in or admission.story != claim.story:
            return None
        return ValidPass(pass_holding(claim.pass_id, admission.until), admission.writes)

    def use_opening(self, claim: PassClaim, now: float) -> bool:
        """Use an opening if needed; return `False` if the pass was used up or revoked since it was read."""
        return self._passes.open(claim.pass_id, claim.reader, claim.visitor, now)
