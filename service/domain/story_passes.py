"""Story passes: one story for whoever has the link, until its end, for so many people. And how many a reader may give.

An opening is spent by whoever is let in first with a counting read; the same reader, or the same browser, is let in again
without one. Who cannot be recognised again (neither reader nor visitor) is answered as without the pass: every reload
would else spend an opening, and a number of openings would mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from service.domain.catalogue import Catalogue
from service.domain.holdings import Holding, Reason, Standing

MOST_OPENINGS = 100_000
"""Of one pass: who was let in is remembered until its end, some 60 bytes each."""

Status = Literal["active", "used_up", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class StoryPass:
    """A pass as it stands. Times are epoch seconds; `used` of `openings` are spent."""

    id: str
    story: str
    openings: int
    until: int
    reason: str
    actor: str
    created_at: float
    revoked_at: int | None = None
    used: int = 0

    def status_at(self, now: float) -> Status:
        """The word that admins read. A used-up pass still opens for those who were let in."""
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.until:
            return "expired"
        return "used_up" if self.used >= self.openings else "active"


def holding_of(pass_id: str, until: int) -> Holding:
    """What opens the story, as a decision weighs it."""
    return Holding(
        type="gift",
        id=pass_id,
        plan=None,
        features=(),
        status="active",
        base=Standing.GOOD,
        reason=Reason.GIFT,
        start=None,
        until=until,
    )


def gifts_a_month(holdings: Iterable[Holding], catalogue: Catalogue, now: float) -> int:
    """How many passes a reader may give in a calendar month: as many as the most generous plan that she holds now says."""
    held = (catalogue.plans.get(holding.plan or "") for holding in holdings if holding.gives_at(now))
    return max((plan.gifts_per_month for plan in held if plan is not None), default=0)
