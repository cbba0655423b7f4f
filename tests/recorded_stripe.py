"""A Stripe of recorded objects for tests of what it reports, and an event processor on a real store."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from service.adapters.crypto import Sealer
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_lifecycle.merges import Merges
from service.adapters.redis.readers.erased_readers import ERASURE, ErasedReaders
from service.adapters.redis.readers.readers import Readers
from service.adapters.stripe import api_requests, translate
from service.adapters.stripe.transport import Patience
from service.adapters.stripe.webhook import Envelope, parse_api_event
from service.bootstrap import Service
from service.domain.catalogue import Catalogue
from service.domain.decision import resolve_entitlements
from service.domain.errors import NoSuchObject, StripeUnavailable
from service.domain.sources import Holding
from service.domain.stripe_facts import ObjectRef, PaymentRef, StripeFacts
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.subscription_admin import SubscriptionAdmin
from tests.admin_app import SECRETS

DAY = 86_400
NOW = 2_000_000_000
"""The moment at which most tests play; ahead of the store's own clock, by which meters run off."""
ADA = Actor("ada", "203.0.113.1")

POLICY = """
[site]
name = "The Daily Ledger"
timezone = "America/New_York"
origins = ["https://www.example.news"]
[features]
notebook = "The notebook"
no_ads = "No ads"
newsmaker_events = "Events"
[plans.supporter]
name = "Supporter"
features = ["notebook", "no_ads"]
prices = ["price_month", "price_year"]
[plans.all]
name = "All access"
features = ["notebook", "no_ads", "newsmaker_events"]
prices = ["price_all_month"]
[plans.newsroom]
name = "SeatGroup"
features = ["notebook"]
prices = ["price_seat_month"]
seats = true
[plans.day_pass]
name = "Day pass"
features = ["notebook"]
prices = ["price_day"]
pass_hours = 24
[tiers.metered]
requires = ["notebook"]
meter = "stories"
[defaults]
tier = "metered"
[meters.stories]
visitors = 2
readers = 5
window = "month"
"""


class RecordedStripe:
    """Stripe's state as recorded objects; it can be unavailable, and be stopped during an answer."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.away = False
        self.unreadable: set[str] = set()
        """What is not answered, though all else is."""
        self.reads: list[str] = []
        self.on_read: Callable[[str], None] = lambda name: None
        """Called after the answer is made and before it arrives."""

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.objects[obj["object"], obj.get("id") or obj["customer"]] = copy.deepcopy(obj)
        return obj

    def happen(self, event: dict[str, Any]) -> dict[str, Any]:
        """Apply an event to Stripe's state and return it."""
        obj = event["data"]["object"]
        if event["type"] == "customer.deleted":
            obj = {"id": obj["id"], "object": "customer", "deleted": True}
        self.put(obj)
        self.events.append(event)
        return event

    def read_object(self, ref: ObjectRef, *, patience: Patience = "inline", paid_at: int | None = None) -> StripeFacts:
        self._answer(ref.name)
        facts = self._read_facts(ref, paid_at)
        self.on_read(ref.name)
        return facts

    def _answer(self, name: str) -> None:
        self.reads.append(name)
        if self.away or name in self.unreadable:
            self.on_read(name)
            raise StripeUnavailable("unreachable")

    def _read_facts(self, ref: ObjectRef, paid_at: int | None) -> StripeFacts:
        kinds = {
            "subscription": "subscription",
            "session": "checkout.session",
            "customer": "customer",
            "entitlements": "entitlements.active_entitlement_summary",
        }
        obj = self.objects.get((kinds[ref.kind], ref.id))
        if ref.kind == "entitlements" and obj is None:
            return translate.entitlements_facts(ref.id, [])
        if obj is None:
            raise NoSuchObject
        if ref.kind == "session":
            return self._session(obj, paid_at)
        facts = translate.TRANSLATORS[kinds[ref.kind]](obj)
        assert facts is not None
        return facts

    def _session(self, obj: dict[str, Any], paid_at: int | None) -> StripeFacts:
        intent = obj.get("payment_intent")
        of_intent = [o for o in self.objects.values() if intent and o.get("payment_intent") == intent]
        refunds: Any = [o for o in of_intent if o["object"] == "refund"]
        disputes: Any = [o for o in of_intent if o["object"] == "dispute"]
        payment = api_requests.payment_from(intent, obj.get("amount_total") or 0, refunds, disputes)
        answer = translate.session_facts(obj, paid_at=paid_at, payment=payment, lines=self.lines.get(obj["id"]))
        assert answer is not None
        return answer

    def resolve_payment(self, ref: PaymentRef, *, patience: Patience = "inline") -> tuple[ObjectRef, ...]:
        self._answer(ref.name)
        found = [o for o in self.objects.values() if o["object"] == "checkout.session"]
        return tuple(ObjectRef("session", o["id"]) for o in found if o.get("payment_intent") == ref.id)

    def list_events_since(self, since: int | None) -> Iterator[Envelope]:
        self._answer("events")
        kept = sorted(self.events, key=lambda event: int(event["created"]))
        yield from [parse_api_event(event) for event in kept if since is None or event["created"] >= since]

    def list_subscriptions(self, after: str | None = None) -> Iterator[StripeFacts]:
        self._answer("subscriptions")
        for (kind, name), _ in list(self.objects.items()):
            if kind == "subscription":
                yield self._read_facts(ObjectRef("subscription", name), None)

    def list_sessions(self, since: int) -> Iterator[StripeFacts]:
        self._answer("sessions")
        for (kind, name), _ in list(self.objects.items()):
            if kind == "checkout.session":
                yield self._read_facts(ObjectRef("session", name), None)


Held = dict[str, int | None]


class Stage:
    """A processor on an empty store, with a played Stripe."""

    def __init__(self, link: Link, catalogue: Catalogue) -> None:
        self.link = link
        self.catalogue = catalogue
        self.stripe = RecordedStripe()
        self.keys = Keys("pw")
        self.store = Store(link, self.keys)
        self.readers = Readers(self.store)
        self.processor = self.make()

    @classmethod
    def over(cls, service: Service) -> Stage:
        """Return a processor over a service's store, with its policy."""
        return cls(service.store.link, service.settings.catalogue)

    def make(self, link: Link | None = None, **options: Any) -> EventProcessor:
        """Make another processor on the same store, as another process has it. Its time never runs out.

        `link` is the process's own, on which a test stops it.
        """
        store = Store(link or self.link, self.keys)
        erased = ErasedReaders(store, lambda: Sealer([SECRETS], ERASURE))
        chosen: dict[str, Any] = {"erased": erased, "gateway": self.stripe, "timer": lambda: 0.0} | options
        return EventProcessor(store, Readers(store), self.catalogue, **chosen)

    def deliver(self, event: dict[str, Any], now: float | None = None, processor: EventProcessor | None = None) -> Any:
        return (processor or self.processor).receive_event(
            parse_api_event(event), event["created"] + 2 if now is None else now
        )

    def held(self, reader: str, now: float) -> Held:
        """Return features with their ends."""
        sources = self.readers.load_active(self.readers.resolve_merged(reader))
        holdings = [holding for source in sources for holding in source.holdings(self.catalogue)]
        found = resolve_entitlements(holdings, self.catalogue.features, now).by_feature
        return {name: holding.until for name, holding in found.items()}

    def expected(self, story: dict[str, Any], now: float) -> Held:
        """Return the features that follow from the final objects of a recorded lifecycle."""
        final, holdings = story["final"], list[Holding]()
        paid = {
            event["data"]["object"]["id"]: event["created"]
            for event in story["events"]
            if event["type"] == "checkout.session.completed"
        }
        for obj in final["subscriptions"].values():
            facts = translate.subscription_facts(obj)
            assert facts is not None
            assert facts.source is not None
            holdings += facts.source.holdings(self.catalogue)
        for obj in final["checkout_sessions"].values():
            refunds, disputes = list(final["refunds"].values()), list(final["disputes"].values())
            payment = api_requests.payment_from(obj["payment_intent"], obj["amount_total"] or 0, refunds, disputes)
            facts = translate.session_facts(obj, paid_at=paid.get(obj["id"]), payment=payment)
            assert facts is not None
            holdings += facts.source.holdings(self.catalogue) if facts.source else ()
        found = resolve_entitlements(holdings, self.catalogue.features, now).by_feature
        return {name: holding.until for name, holding in found.items()}


class Maker:
    """Makes minimal Stripe objects and events."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._count = 0

    def subscription(self, name: str = "sub_1", *, reader: str | None = "r-1", **fields: Any) -> dict[str, Any]:
        """Return an active monthly subscription, paid for ten more days."""
        price, quantity = fields.pop("price", "price_month"), fields.pop("quantity", 1)
        start, end = fields.pop("start", NOW - 20 * DAY), fields.pop("end", NOW + 10 * DAY)
        item = {
            "id": f"si_{name}",
            "object": "subscription_item",
            "price": {"id": price, "lookup_key": None, "product": "prod_x"},
            "quantity": quantity,
            "current_period_start": start,
            "current_period_end": end,
        }
        obj: dict[str, Any] = {
            "id": name,
            "object": "subscription",
            "status": "active",
            "customer": "cus_1",
            "created": NOW - 50 * DAY,
            "items": {"object": "list", "data": [item], "has_more": False},
            "metadata": {"reader_id": reader} if reader else {},
            "cancel_at": None,
            "cancel_at_period_end": False,
            "ended_at": None,
            "trial_end": None,
            "latest_invoice": "in_1",
        }
        return obj | fields

    def session(self, name: str = "cs_1", *, reader: str | None = "r-1", **fields: Any) -> dict[str, Any]:
        """Return the session of a paid day pass."""
        obj: dict[str, Any] = {
            "id": name,
            "object": "checkout.session",
            "mode": "payment",
            "status": "complete",
            "payment_status": "paid",
            "amount_total": 300,
            "payment_intent": f"pi_{name}",
            "customer": "cus_1",
            "created": NOW - 60,
            "client_reference_id": None,
            "subscription": None,
            "metadata": {"price_id": "price_day"} | ({"reader_id": reader} if reader else {}),
        }
        return obj | fields

    def customer(self, name: str = "cus_1", *, reader: str | None = None, **fields: Any) -> dict[str, Any]:
        metadata = {"reader_id": reader} if reader else {}
        return {"id": name, "object": "customer", "created": NOW - 90 * DAY, "metadata": metadata} | fields

    def refund(self, amount: int, *, of: str = "cs_1", name: str = "re_1", status: str = "succeeded") -> dict[str, Any]:
        return {
            "id": name,
            "object": "refund",
            "amount": amount,
            "status": status,
            "payment_intent": f"pi_{of}",
            "charge": f"ch_{of}",
        }

    def dispute(self, status: str, *, of: str = "cs_1", name: str = "du_1") -> dict[str, Any]:
        return {
            "id": name,
            "object": "dispute",
            "status": status,
            "payment_intent": f"pi_{of}",
            "charge": f"ch_{of}",
            "amount": 300,
        }

    def event(self, kind: str, obj: dict[str, Any], at: int = NOW, **fields: Any) -> dict[str, Any]:
        """Return an event with the object as it is now, without changing Stripe's state."""
        self._count += 1
        data: dict[str, Any] = {"object": copy.deepcopy(obj)}
        if "previous" in fields:
            data["previous_attributes"] = fields.pop("previous")
        event = {
            "id": f"evt_{self._count}",
            "object": "event",
            "type": kind,
            "created": at,
            "livemode": False,
            "account": None,
            "data": data,
        }
        return event | fields

    def deliver(self, kind: str, obj: dict[str, Any], at: int = NOW, **fields: Any) -> dict[str, Any]:
        """Change Stripe's state and deliver the event."""
        event = self._stage.stripe.happen(self.event(kind, obj, at, **fields))
        self._stage.deliver(event, at)
        return event


class Notebook:
    """The audit log as the processor uses it. Entries stay in the outboxes, where the test reads them."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link, self._keys = link, keys
        self.tags: set[bytes] = set()

    def sign_entry(self, written: dict[str, Any]) -> bytes:
        return json.dumps(written).encode()

    def announce_at(self, tag: bytes) -> None:
        self.tags.add(tag)

    @contextmanager
    def recording(self, tag: bytes, written: dict[str, Any]) -> Iterator[bytes]:
        self.announce_at(tag)
        yield self.sign_entry(written)

    def flush_quietly(self, tag: bytes) -> None: ...

    def entries(self) -> list[dict[str, Any]]:
        found = []
        for tag in self.tags:
            key = self._keys.outbox(tag)
            found += [json.loads(text) for text in self._link.call(key, b"LRANGE", key, 0, -1)]
        return found


def admin_of(
    stage: Stage, notebook: Notebook, processor: EventProcessor, link: Link | None = None
) -> SubscriptionAdmin:
    return SubscriptionAdmin(
        processor, notebook, Merges(Store(link or stage.link, stage.keys), processor.readers, stage.catalogue)
    )
