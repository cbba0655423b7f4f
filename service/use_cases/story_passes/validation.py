"""The gate of story passes: from the link in a request to the pass in the store, for the desk.

What cannot open anything is turned away before the store is asked: no link of ours, another story's, one that is over, a
bot, somebody who could not be recognised again. It is all the same to the answer: it is that of a request without a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.adapters.pass_tokens import PassTokens
from service.adapters.redis.client.link import Command
from service.adapters.redis.story_passes.passes import Passes, admission_in
from service.domain.bots import is_bot
from service.domain.sources import Holding
from service.domain.story_passes import pass_holding


@dataclass(frozen=True, slots=True)
class Ticket:
    """A link that may open the story: its pass, and for whom."""

    pass_id: str
    story: str
    reader: str | None
    visitor: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A pass that lets in. `writes`: a counting read has to say so to the store first."""

    holding: Holding
    writes: bool


class Gate:
    """Looks at links. Raises `StoreUnavailable` where the store cannot be reached, and `NewerSchema`."""

    def __init__(self, tokens: PassTokens, passes: Passes) -> None:
        self._tokens = tokens
        self._passes = passes

    def ticket(
        self, token: str, story: str, reader: str | None, visitor: str | None, user_agent: str | None, now: float
    ) -> Ticket | None:
        """The ticket of a request's link; `None` where the store need not be asked."""
        if (reader is None and visitor is None) or (user_agent is not None and is_bot(user_agent)):
            return None
        claims = self._tokens.read(token)
        if claims is None or claims.story != story or now >= claims.until:
            return None
        return Ticket(claims.id, story, reader, visitor)

    def command(self, ticket: Ticket) -> Command:
        """What a check reads of the pass, in its one wait."""
        return self._passes.read_command(ticket.pass_id, ticket.reader, ticket.visitor)

    @staticmethod
    def entry(ticket: Ticket, reply: Sequence[bytes | None]) -> Entry | None:
        """What the reply means for the one who holds the ticket; `None`: it does not open."""
        admission = admission_in(reply, reader=ticket.reader is not None)
        if admission is None or not admission.lets_in or admission.story != ticket.story:
            return None
        return Entry(pass_holding(ticket.pass_id, admission.until), admission.writes)

    def open(self, ticket: Ticket, now: float) -> bool:
        """Spends an opening where one is due; `False`: it was used up, or revoked, since it was looked at."""
        return self._passes.open(ticket.pass_id, ticket.reader, ticket.visitor, now)
