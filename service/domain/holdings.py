"""What a source gives by one plan, and how that stands at a moment.

A holding knows no clock: `standing_at(now)` says how it stands. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Standing(StrEnum):
    """How a source stands: good and grace give access, ended has given it, none gives none."""

    GOOD = "good"
    GRACE = "grace"
    ENDED = "ended"
    NONE = "none"


class Reason(StrEnum):
    """Why a story is open or locked. The order of the open ones breaks ties between sources that end alike."""

    FREE = "free"
    SUBSCRIPTION = "subscription"
    TRIAL = "trial"
    GRACE = "grace"
    PASS = "pass"  # noqa: S105 - a reason code, no password
    SEAT = "seat"
    GRANT = "grant"
    GIFT = "gift"
    INSTITUTION = "institution"
    METERED = "metered"
    STORE_UNAVAILABLE = "store_unavailable"
    NO_ENTITLEMENT = "no_entitlement"
    METER_USED_UP = "meter_used_up"
    SIGN_IN_REQUIRED = "sign_in_required"


RANK = {reason: rank for rank, reason in enumerate(Reason)}

SourceType = Literal["subscription", "stripe_entitlement", "pass", "seat", "grant", "gift", "institution"]


@dataclass(frozen=True, slots=True)
class Holding:
    """What one source gives by one plan.

    `until` is `None` where it has no end, `reason` `None` where it gives nothing. Only where `waits` does `start` hold
    access back (a scheduled grant): Stripe's clock is not ours, and who has just paid is not kept waiting for it.
    """

    type: SourceType
    id: str
    plan: str | None
    features: tuple[str, ...]
    status: str
    base: Standing
    reason: Reason | None
    start: int | None
    until: int | None
    waits: bool = False
    ending: bool = False
    confirmed: bool = True
    note: str | None = None
    actor: str | None = None

    def standing_at(self, now: float) -> Standing:
        """The table's standing, except that whatever gave access has ended once its end is reached."""
        if self.base in (Standing.NONE, Standing.ENDED):
            return self.base
        if self._over(now):
            return Standing.ENDED
        return Standing.NONE if self._ahead(now) else self.base

    def status_at(self, now: float) -> str:
        """Stripe's own word; of a pass and a grant also what time alone has made of them."""
        if self.base is Standing.ENDED or (self.type not in ("grant", "pass") and self.status != "paid"):
            return self.status
        if self._over(now):
            return "expired"
        return "scheduled" if self._ahead(now) else self.status

    def gives_at(self, now: float) -> bool:
        """Whether it opens anything at this moment: begun, not over, in good standing or in grace."""
        return self._could_give and not self._ahead(now) and not self._over(now)

    def starts_after(self, now: float) -> bool:
        """Whether it will open something by itself, later."""
        return self._could_give and self._ahead(now) and not self._over(now)

    @property
    def _could_give(self) -> bool:
        return self.reason is not None and bool(self.features) and self.base in (Standing.GOOD, Standing.GRACE)

    def _ahead(self, now: float) -> bool:
        return self.waits and self.start is not None and now < self.start

    def _over(self, now: float) -> bool:
        return self.until is not None and now >= self.until

    @property
    def key(self) -> str:
        """`type:id`, as a feature names its source."""
        return f"{self.type}:{self.id}"
