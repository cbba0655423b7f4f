"""Story passes: a link that opens one story for a number of people until its end; and how many a reader can give.

The first counted read of a reader or a visitor uses one opening; the same reader or visitor can read again without using
another. A request without a reader and a visitor is answered as if it had no pass: every reload would use an opening.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from service.domain.catalogue import Catalogue
from service.domain.sources import Holding, Reason, Standing

MOST_OPENINGS = 100_000
"""Of one pass. The store keeps who used one until the pass ends, about 60 bytes each."""

Status = Literal["active", "used_up", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class StoryPass:
    """A story pass. Times are epoch seconds; `used` of `openings` are used."""

    id: str
    story: str
    openings: int
    until: int
    reason: str
    actor: str
    created_at: float
    revoked_at: int | None = None
    used: int = 0
    is_former: bool = False
    """A release before 0.1.0 created it, and signed its token with the key that it derived."""

    def status_at(self, now: float) -> Status:
        """Return the status that admins see. A used-up pass still opens the story for those who already used it."""
        if self.revoked_at is not None:
            return "revoked"
        if now >= self.until:
            return "expired"
        return "used_up" if self.used >= self.openings else "active"


def pass_holding(pass_id: str, until: int) -> Holding:
    """Return a story pass as a holding, which is what a decision takes."""
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


def gifts_per_month(holdings: Iterable[Holding], catalogue: Catalogue, now: float) -> int:
    """Return how many passes a reader can give in a calendar month: the highest number among the plans they hold now."""
    held = (catalogue.plans.get(holding.plan or "") for holding in holdings if holding.is_active_at(now))
    return max((plan.gifts_per_month for plan in held if plan is not None), default=0)
