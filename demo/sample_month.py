"""A month of invented life for a demo's store, so that the staff page has something to show from its first minute.

Everything is written by the functions that would have written it, with the clock of the day on which it happened: events of
Stripe's go through the processor, which reads what they are about where somebody tells the look-alike first; grants and
passes go through the same doors as an admin's. Only what readers did is added up here, as no process counted it. The same
month each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any

from demo.sample_subscriptions import SALE, Object, monthly, price_of, subscription
from demo.sample_usage import DAYS, Delivery, Life, write
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest
from service.adapters.redis.story_passes.passes import Passes
from service.adapters.redis.story_passes.passes import PassRequest as WantedPass
from service.adapters.stripe.webhook import Envelope
from service.bootstrap import Service
from service.domain.catalogue import DAY, Catalogue
from service.use_cases.grants.imports.pacing import retry_while_unavailable
from service.use_cases.reporting.change_listeners import ObjectChangeListener
from service.use_cases.subscriptions.event_processor import EventProcessor

DECLINED, ON_TRIAL, LEFT, LEAVING = 1, 3, 5, 6
"""The numbers of the one whose card was declined, is on trial, left, and will."""
NOBODYS, REVOKED = 1.4, 5
"""Days ago: the payment that names nobody, and the end of the jury's grant."""
TEACHERS = ("r-teacher-1", "r-teacher-2", "r-teacher-3")
PEOPLE = ("maya", "jonas", "amira", "tomás", "ingrid", "kofi", "leila", "piotr", "noor", "sam", "yuki", "elena")
EVA, DESK = Actor("eva"), Actor("support-desk")
GRANTS = (
    ("r-press-01", 27, 40, "Press card, checked by phone", EVA),
    ("r-press-02", 24, 31, "Press card", EVA),
    ("r-library", 22, 200, "City library, agreed with sales", EVA),
    ("r-jury", 15, 18, "Jury of the local news prize", DESK),
    ("r-amira", 9, 16, "Paid twice; two weeks on us", DESK),
    ("r-source-7", 6, 14, "Helped us with the harbour story", EVA),
    ("r-maya", 1, 30, "Card declined, a new one is on its way", DESK),
)
"""Who was given something: days ago, for how many days, why, by whom."""

PASSES = (
    (8, "harbour-contract", 500, "Newsletter of the week", 213),
    (2, "school-buses", 50, "For the parents' council", 17),
)
"""Stories of the newspaper that were given away: days ago, for how many, why, and how many came so far."""

Deed = Callable[[float], Any]
"""What is done, at the moment when it is."""
Tell = Callable[[Object], None]
Dated = tuple[float, Deed]


@dataclass(frozen=True)
class _Invented:
    """What the month is made with."""

    service: Service
    processor: EventProcessor
    chance: Random
    now: float
    numbers: Iterator[int]
    """For the ids of events."""
    tell: Tell | None
    """Tells Stripe, or who looks like it, of an object before its event arrives."""
    delivered: list[Delivery]

    @property
    def catalogue(self) -> Catalogue:
        return self.service.settings.catalogue

    def ago(self, days: float) -> float:
        return self.now - days * DAY


def fill(service: Service, now: float, tell: Tell | None = None) -> None:
    """Writes the month before `now` into an empty store. `StoreUnavailable` where that is away.

    `tell` is called with each of Stripe's objects before its event arrives, which is then read from Stripe.
    """
    gateway = service.gateway if tell is not None else None
    catalogue = service.settings.catalogue
    watch = ObjectChangeListener(catalogue, service.alert_flags, service.clock)
    quiet = EventProcessor(service.store, service.readers, catalogue, gateway=gateway, listener=watch)
    chance = Random(1042)  # noqa: S311 - an invented month is no secret
    month = _Invented(service, quiet, chance, now, count(1), tell, [])
    deeds = [*_subscribers(month), *_group(month), *_trouble(month), *_grants(month), *_passes(month)]
    for at, deed in sorted(deeds, key=lambda one: one[0]):
        if at <= now:
            # Each can be repeated: a machine that is just starting everything may keep the store waiting.
            retry_while_unavailable(partial(deed, at))
    store, lives, came = service.usage_counters.store, _lives(month), sorted(month.delivered)
    retry_while_unavailable(lambda: write(store, month.catalogue, lives, came, chance, now))


# ------------------------------------------------------------------------------------------------- Stripe's events


def _told(month: _Invented, kind: str, at: float, obj: Object, late: float = 0.0) -> Dated:
    """An event of Stripe's about an object, and its arrival here."""
    event = f"evt_demo{next(month.numbers):05d}"
    envelope = Envelope(event, kind, int(at), month.catalogue.livemode, None, obj)

    def arrives(moment: float) -> None:
        _knows(month, obj)
        month.processor.receive_event(envelope, moment)

    if at + late <= month.now:
        month.delivered.append(Delivery(at + late, late))
    return at + late, arrives


def _knows(month: _Invented, obj: Object) -> None:
    if month.tell is not None:
        month.tell(obj)


def _sold(catalogue: Catalogue, *, seats: bool) -> Object | None:
    """A price of the first plan that is sold by the month, or by the seat."""
    plans = (p for p in catalogue.plans.values() if p.prices and p.seats == seats and p.pass_hours is None)
    plan = next(plans, None)
    return price_of(plan.prices[0], plan.id) if plan is not None else None


def _subscribers(month: _Invented) -> Iterator[Dated]:
    """A dozen readers: most pay, one is on trial, one's card failed, one left, one will."""
    price = _sold(month.catalogue, seats=False)
    if price is None:
        return
    for number, name in enumerate(PEOPLE, start=1):
        reader, begun = f"r-{name}", month.ago(_begun(number))
        trial = int(month.now + 5 * DAY)
        if number == ON_TRIAL:
            more = {"trial_start": int(begun), "trial_end": trial, "billing_cycle_anchor": trial}
            obj = subscription(number, reader, "trialing", (begun, trial), price, **more)
        else:
            obj = subscription(number, reader, "active", monthly(begun), price)
        yield _told(month, "customer.subscription.created", begun, obj, month.chance.uniform(0.4, 4))
        yield from _later(month, number, reader, obj, price)


def _later(month: _Invented, number: int, reader: str, obj: Object, price: Object) -> Iterator[Dated]:
    """What became of three of them."""
    updated, gone = "customer.subscription.updated", "customer.subscription.deleted"
    if number == DECLINED:
        begun, renewed = obj["created"], monthly(month.ago(2))
        failed = subscription(number, reader, "past_due", renewed, price, created=begun)
        yield _told(month, updated, month.ago(2), {**failed, "billing_cycle_anchor": int(renewed[0])}, 1.5)
    if number == LEFT:
        at = month.ago(4)
        yield _told(month, gone, at, {**obj, "status": "canceled", "ended_at": int(at), "canceled_at": int(at)}, 0.9)
    if number == LEAVING:
        (item,) = obj["items"]["data"]
        ending = {"cancel_at_period_end": True, "cancel_at": item["current_period_end"]}
        yield _told(month, updated, month.ago(3), {**obj, **ending, "canceled_at": int(month.ago(3))}, 2.2)


def _begun(number: int) -> float:
    """How many days ago the subscription of this number began."""
    return DAYS - 1 - number * 2.2


def _lives(month: _Invented) -> list[Life]:
    """When each entitlement of the month began and ended, for the figures."""
    plans = month.catalogue.plans
    sold = next((name for name, plan in plans.items() if plan.prices and not plan.seats and not plan.pass_hours), None)
    shared = next((name for name, plan in plans.items() if plan.seats), None)
    lives = [
        Life(sold, month.ago(_begun(number)), month.ago(4) if number == LEFT else None, bought=True)
        for number in range(1, len(PEOPLE) + 1)
        if sold
    ]
    lives += [Life(shared, month.ago(20 - place), None) for place in range(len(TEACHERS)) if shared]
    ended = {reader: month.ago(REVOKED) for reader in ("r-jury",)}
    return lives + [
        Life("vip", month.ago(ago), ended.get(reader, month.ago(ago - days)))
        for reader, ago, days, *_ in GRANTS
        if "vip" in plans
    ]


def _group(month: _Invented) -> Iterator[Dated]:
    price = _sold(month.catalogue, seats=True)
    if price is None:
        return
    obj = subscription(90, "r-school", "active", monthly(month.ago(21)), price, quantity=5)
    yield _told(month, "customer.subscription.created", month.ago(21), obj, 1.1)
    for place, reader in enumerate(TEACHERS):
        yield month.ago(20 - place), _seat(month, reader)


def _seat(month: _Invented, reader: str) -> Deed:
    return lambda at: month.service.subscription_admin.assign_seat("sub_demo090", reader, DESK, at)


def _trouble(month: _Invented) -> Iterator[Dated]:
    """What needs a hand: a payment that names nobody, a price that no plan has, an event that was given up."""
    price, at = _sold(month.catalogue, seats=False), month.ago(NOBODYS)
    created = "customer.subscription.created"
    if price is not None:
        yield _told(month, created, at, subscription(95, None, "active", monthly(at), price), 0.8)
    odd = subscription(96, "r-oda", "active", monthly(month.ago(1.2)), SALE)
    yield _told(month, created, month.ago(1.2), odd, 1.7)
    month.delivered.append(Delivery(month.ago(0.6), 0.5))
    yield month.ago(0.6), lambda moment: _given_up(month, moment)


def _given_up(month: _Invented, at: float) -> None:
    obj = subscription(97, "r-lost", "incomplete_expired", monthly(at), SALE)
    _knows(month, obj)
    inbox = month.processor.inbox
    event = month.processor.to_inbox_event(
        Envelope("evt_demo_given_up", "customer.subscription.created", int(at), month.catalogue.livemode, None, obj)
    )
    inbox.record(event, at, lease=False)
    for _ in range(10):
        inbox.record_failure(event.name, [event.id], at, "failed: TimeoutError")


# ----------------------------------------------------------------------------------------------------- what staff did


def _grants(month: _Invented) -> Iterator[Dated]:
    plans = month.catalogue.grants.plans or tuple(month.catalogue.plans)
    plan = "vip" if "vip" in plans else plans[-1]
    given = month.service.grant_changes
    for reader, ago, days, why, actor in GRANTS:
        yield (
            month.ago(ago),
            _grant(month, reader, GrantRequest(plan, (), why, 0, int(month.ago(ago)) + days * DAY), actor),
        )
    yield month.ago(REVOKED), lambda at: _first(month, "r-jury", lambda grant: _revoke(month, "r-jury", grant, at))
    yield (
        month.ago(3),
        lambda at: _first(
            month,
            "r-press-02",
            lambda grant: given.change("r-press-02", grant, int(month.now) + 60 * DAY, "Card renewed", EVA, at),
        ),
    )


def _grant(month: _Invented, reader: str, wanted: GrantRequest, actor: Actor) -> Deed:
    changes, named = month.service.grant_changes, sha256(reader.encode()).hexdigest()[:24]
    return lambda at: changes.create(reader, replace(wanted, start=int(at)), actor, at, named=named)


def _first(month: _Invented, reader: str, work: Callable[[str], Any]) -> None:
    for grant in month.service.grants.list_for_reader(reader)[:1]:
        work(grant.id)


def _revoke(month: _Invented, reader: str, grant: str, at: float) -> None:
    month.service.grants.revoke(reader, grant, "The jury has met", DESK, at)


def _passes(month: _Invented) -> Iterator[Dated]:
    passes = month.service.passes
    for ago, story, openings, why, came in PASSES:
        wanted = WantedPass(story, openings, int(month.now) + 6 * DAY, why)
        name = f"sp_{sha256(story.encode()).hexdigest()[:20]}"
        yield month.ago(ago), partial(_pass, passes, wanted, name)
        yield from ((month.ago(ago * n / (came + 1)), partial(_opened, passes, name, n)) for n in range(1, came + 1))


def _pass(passes: Passes, wanted: WantedPass, name: str, at: float) -> None:
    passes.create(wanted, EVA, at, pass_id=name)


def _opened(passes: Passes, name: str, number: int, at: float) -> None:
    passes.open(name, None, f"v-{name}-{number}", at)
