"""What payloads say, for the time that Stripe cannot be read: applied if newer, unconfirmed, to be read later."""

from __future__ import annotations

from dataclasses import replace

from service.adapters.redis.stripe_objects.inbox import EventResult, PendingEvent
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.catalogue import Catalogue
from service.domain.event_order import mark, newer
from service.domain.sources import Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import StripeFacts
from service.use_cases.subscriptions.recheck_schedule import next_look

UNREAD = "Stripe cannot be read now; it will be"
FROM_PAYLOAD = "from the payload: Stripe could not be read at once, and is read later"
OLDER = "what is known already is newer"
UNDECIDED = "whether it is newer cannot be told before Stripe is read"


class Payloads:
    """Applies what waiting events say. Raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, objects: Objects, catalogue: Catalogue) -> None:
        self._objects = objects
        self._catalogue = catalogue

    def apply(self, name: str, waiting: list[PendingEvent], now: float) -> list[EventResult]:
        """What has become of each; those that say nothing wait until the object is read."""
        return [self._apply(name, event, now) for event in waiting]

    def _apply(self, name: str, event: PendingEvent, now: float) -> EventResult:
        if event.facts is None or event.facts.ref.text != name:
            self._objects.apply(name, event.mark, None, now, read=False)
            return EventResult(event.id, "pending", UNREAD)
        incoming = mark(event.facts, created=event.created, event_type=event.type, previous=event.previous)
        while True:
            stored = self._objects.load(name)
            verdict = newer(incoming, stored.mark) if stored.facts else "take"
            facts = merged(event.facts, stored) if verdict == "take" else None
            due = next_look(facts, self._catalogue, now) if facts else None
            done, _ = self._objects.apply(
                name, event.mark, facts, now, read=False, mark=incoming if facts else None, due=due, rev=stored.rev
            )
            if done == "retry":
                continue
            if done in ("applied", "same"):
                return EventResult(event.id, "applied", FROM_PAYLOAD)
            return EventResult(event.id, "stale", UNDECIDED if verdict == "undecided" else OLDER)


def merged(facts: StripeFacts, stored: StoredObject) -> StripeFacts:
    """What was facts, with what was known before where a list in it was cut off: it adds and never takes away."""
    before = stored.facts
    if before is None:
        return facts
    if isinstance(facts.source, Pass) and isinstance(before.source, Pass):
        return replace(facts, source=_as_bought(facts.source, before.source))
    if not facts.partial:
        return facts
    if isinstance(facts.source, StripeEntitlements) and isinstance(before.source, StripeEntitlements):
        keys = dict.fromkeys((*before.source.lookup_keys, *facts.source.lookup_keys))
        return replace(facts, source=replace(facts.source, lookup_keys=tuple(keys)))
    if isinstance(facts.source, Subscription) and isinstance(before.source, Subscription):
        named = {item.price for item in facts.source.items}
        kept = tuple(item for item in before.source.items if item.price not in named)
        return replace(facts, source=replace(facts.source, items=facts.source.items + kept))
    return facts


def _as_bought(facts: Pass, before: Pass) -> Pass:
    """A webhook carries no line items: what they said of the same session stays known."""
    if (facts.lookup_key, facts.product) != (None, None) or facts.price not in (None, before.price):
        return facts
    return replace(
        facts, price=before.price, lookup_key=before.lookup_key, product=before.product, others=before.others
    )
