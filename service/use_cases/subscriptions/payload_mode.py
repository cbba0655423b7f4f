"""What payloads say, for the time that Stripe cannot be read: applied if newer, unconfirmed, to be read later."""

from __future__ import annotations

from dataclasses import replace

from service.adapters.redis.stripe_objects.inbox import EventResult, PendingEvent
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.catalogue import Catalogue
from service.domain.event_order import mark, newer
from service.domain.sources import Pass, StripeEntitlements, Subscription
from service.domain.stripe_facts import Told
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
            told = merged(event.facts, stored) if verdict == "take" else None
            due = next_look(told, self._catalogue, now) if told else None
            done, _ = self._objects.apply(
                name, event.mark, told, now, read=False, mark=incoming if told else None, due=due, rev=stored.rev
            )
            if done == "retry":
                continue
            if done in ("applied", "same"):
                return EventResult(event.id, "applied", FROM_PAYLOAD)
            return EventResult(event.id, "stale", UNDECIDED if verdict == "undecided" else OLDER)


def merged(told: Told, stored: StoredObject) -> Told:
    """What was told, with what was known before where a list in it was cut off: it adds and never takes away."""
    before = stored.facts
    if before is None:
        return told
    if isinstance(told.source, Pass) and isinstance(before.source, Pass):
        return replace(told, source=_as_bought(told.source, before.source))
    if not told.partial:
        return told
    if isinstance(told.source, StripeEntitlements) and isinstance(before.source, StripeEntitlements):
        keys = dict.fromkeys((*before.source.lookup_keys, *told.source.lookup_keys))
        return replace(told, source=replace(told.source, lookup_keys=tuple(keys)))
    if isinstance(told.source, Subscription) and isinstance(before.source, Subscription):
        named = {item.price for item in told.source.items}
        kept = tuple(item for item in before.source.items if item.price not in named)
        return replace(told, source=replace(told.source, items=told.source.items + kept))
    return told


def _as_bought(told: Pass, before: Pass) -> Pass:
    """A webhook carries no line items: what they said of the same session stays known."""
    if (told.lookup_key, told.product) != (None, None) or told.price not in (None, before.price):
        return told
    return replace(told, price=before.price, lookup_key=before.lookup_key, product=before.product, others=before.others)
