"""When an object is to be looked at again, because it is about to change by itself. Pure."""

from __future__ import annotations

from service.domain.catalogue import HOUR, Catalogue
from service.domain.sources import Pass, Standing, Subscription
from service.domain.stripe_facts import StripeFacts
from service.use_cases.subscriptions.projections import HOT_FOR

NEVER = float("inf")

AFTER = 300
"""Seconds after a period, a trial or a scheduled end: by then Stripe has turned the page."""
BEFORE = HOUR
"""Seconds before access would end: a last look, should the renewal's event be lost."""
RETRY = 300.0
"""Seconds until the next look where this one failed."""


def next_look(facts: StripeFacts, catalogue: Catalogue, now: float) -> float:
    """The next moment to look; `NEVER` where nothing is ahead. What has ended is looked at once more, to be put away."""
    source = facts.source
    if not isinstance(source, Subscription | Pass):
        return NEVER
    holdings = source.holdings(catalogue)
    ends = [holding.until for holding in holdings if holding.until is not None]
    moments = [end + HOT_FOR for end in ends]
    if isinstance(source, Subscription) and any(h.base is not Standing.ENDED for h in holdings):
        turns = [item.end for item in source.items] + [source.trial_end, source.scheduled_end]
        moments += [turn + AFTER for turn in turns if turn is not None]
        moments += [end - BEFORE for end in ends]
    return min((moment for moment in moments if moment > now), default=NEVER)
