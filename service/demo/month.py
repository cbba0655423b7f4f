"""A month of invented life for a demo's store, so that the staff page has something to show from its first minute.

Everything is written by the functions that would have written it, with the clock of the day on which it happened: events of
Stripe's go through the engine (without a gateway: the look-alike was not there yet), grants and passes through the
same doors as an admin's. Only what readers did is added up here, as no process counted it. The same month each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from random import Random
from typing import Any

from service.app import Service
from service.billing.webhook import Envelope
from service.demo.readership import DAYS, Life, write
from service.engine.engine import Engine
from service.importing.pace import patiently
from service.paywall.catalogue import DAY, Catalogue
from service.store.audit import Actor
from service.store.grants import Wanted
from service.store.passes import Wanted as WantedPass

LEFT = 5
"""The number of the one who left."""
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
    ("r-maya", 1, 30, "Her card was declined, she waits for a new one", DESK),
)
"""Who was given something: days ago, for how many days, why, by whom."""

Deed = Callable[[float], Any]
"""What is done, at the moment when it is."""
Dated = tuple[float, Deed]


@dataclass(frozen=True)
class _Invented:
    """What the month is made with."""

    service: Service
    engine: Engine
    chance: Random
    now: float
    numbers: Iterator[int]
    """For the ids of events."""
    objects: dict[str, dict[str, Any]]
    """What Stripe told of, as it stands at last, by id."""

    @property
    def catalogue(self) -> Catalogue:
        return self.service.settings.catalogue

    def ago(self, days: float) -> float:
        return self.now - days * DAY


def fill(service: Service, now: float) -> list[dict[str, Any]]:
    """Writes the month before `now` into an empty store, and gives Stripe's objects as they are at its end.

    `StoreUnavailable` where the store is away.
    """
    quiet = Engine(service.link, service.keys, service.readers, service.settings.catalogue, gateway=None)
    quiet.objects.watch = service.engine.objects.watch
    chance = Random(1042)  # noqa: S311 - an invented month is no secret
    month = _Invented(service, quiet, chance, now, count(1), {})
    deeds = [*_subscribers(month), *_group(month), *_trouble(month), *_grants(month), *_passes(month)]
    for at, deed in sorted(deeds, key=lambda one: one[0]):
        if at <= now:
            # Each can be repeated: a machine that is just starting everything may keep the store waiting.
            patiently(partial(deed, at))
    patiently(lambda: write(service.overview.activity.store, month.catalogue, _lives(month), chance, now))
    return list(month.objects.values())


# ------------------------------------------------------------------------------------------------- Stripe's events


def _told(month: _Invented, kind: str, at: float, obj: dict[str, Any], late: float = 0.0) -> Dated:
    """An event of Stripe's about an object, and its arrival here."""
    event = f"evt_demo{next(month.numbers):05d}"
    month.objects[obj["id"]] = obj
    envelope = Envelope(event, kind, int(at), month.catalogue.livemode, None, obj)
    return at + late, lambda moment: month.engine.receive(envelope, moment)


def _subscription(
    number: int, reader: str | None, status: str, created: float, period: tuple[float, float], price: str, **more: Any
) -> dict[str, Any]:
    item = {
        "id": f"si_demo{number}",
        "price": {"id": price, "object": "price", "lookup_key": None, "product": f"prod_{price}"},
        "quantity": more.pop("quantity", 1),
        "current_period_start": int(period[0]),
        "current_period_end": int(period[1]),
    }
    return {
        "id": f"sub_demo{number:03d}",
        "object": "subscription",
        "customer": f"cus_demo{number:03d}",
        "status": status,
        "created": int(created),
        "items": {"object": "list", "data": [item], "has_more": False},
        "metadata": {"reader_id": reader} if reader else {},
        **more,
    }


def _price(catalogue: Catalogue, *, seats: bool) -> str | None:
    """A price of the first plan that is sold by the month, or by the seat."""
    plans = (p for p in catalogue.plans.values() if p.prices and p.seats == seats and p.pass_hours is None)
    plan = next(plans, None)
    return plan.prices[0] if plan is not None else None


def _subscribers(month: _Invented) -> Iterator[Dated]:
    """A dozen readers: most pay, one is on trial, one's card failed, one left, one will."""
    price = _price(month.catalogue, seats=False)
    if price is None:
        return
    for number, name in enumerate(PEOPLE, start=1):
        reader, begun = f"r-{name}", month.ago(_begun(number))
        period = (begun, begun + 30 * DAY)
        first = "trialing" if number == 3 else "active"
        more: dict[str, Any] = {"trial_end": int(month.now + 5 * DAY)} if number == 3 else {}
        obj = _subscription(number, reader, first, begun, period, price, **more)
        yield _told(month, "customer.subscription.created", begun, obj, month.chance.uniform(0.4, 4))
        if number == 1:
            again = {**_subscription(number, reader, "past_due", begun, (month.ago(2), month.now + 28 * DAY), price)}
            yield _told(month, "customer.subscription.updated", month.ago(2), again, 1.5)
        if number == LEFT:
            ended = {**obj, "status": "canceled", "ended_at": int(month.ago(4))}
            yield _told(month, "customer.subscription.deleted", month.ago(4), ended, 0.9)
        if number == 6:
            yield _told(
                month, "customer.subscription.updated", month.ago(3), {**obj, "cancel_at_period_end": True}, 2.2
            )


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
    return lives + [Life("vip", month.ago(ago), month.ago(ago - days)) for _, ago, days, *_ in GRANTS if "vip" in plans]


def _group(month: _Invented) -> Iterator[Dated]:
    price = _price(month.catalogue, seats=True)
    if price is None:
        return
    begun = month.ago(21)
    obj = _subscription(90, "r-school", "active", begun, (begun, begun + 30 * DAY), price, quantity=5)
    yield _told(month, "customer.subscription.created", begun, obj, 1.1)
    for place, reader in enumerate(TEACHERS):
        yield month.ago(20 - place), _seat(month, reader)


def _seat(month: _Invented, reader: str) -> Deed:
    return lambda at: month.service.stripe_admin.give_seat("sub_demo090", reader, DESK, at)


def _trouble(month: _Invented) -> Iterator[Dated]:
    """What needs a hand: a payment that names nobody, a price that no plan has, an event that was given up."""
    price, at = _price(month.catalogue, seats=False), month.ago(1.4)
    period = (at, at + 30 * DAY)
    if price is not None:
        yield _told(
            month, "customer.subscription.created", at, _subscription(95, None, "active", at, period, price), 0.8
        )
    odd = _subscription(96, "r-oda", "active", at, period, "price_summer_sale")
    yield _told(month, "customer.subscription.created", month.ago(1.2), odd, 1.7)
    yield month.ago(0.6), lambda moment: _given_up(month, moment)


def _given_up(month: _Invented, at: float) -> None:
    obj = _subscription(97, "r-lost", "incomplete", at, (at, at + 30 * DAY), "price_summer_sale")
    inbox = month.engine.inbox
    event = month.engine.event_of(
        Envelope("evt_demo_given_up", "customer.subscription.created", int(at), month.catalogue.livemode, None, obj)
    )
    inbox.record(event, at, lease=False)
    for _ in range(10):
        inbox.fail(event.name, [event.id], at, "failed: TimeoutError")


# ----------------------------------------------------------------------------------------------------- what staff did


def _grants(month: _Invented) -> Iterator[Dated]:
    plans = month.catalogue.grants.plans or tuple(month.catalogue.plans)
    plan = "vip" if "vip" in plans else plans[-1]
    given = month.service.governance.giving
    for reader, ago, days, why, actor in GRANTS:
        yield month.ago(ago), _grant(month, reader, Wanted(plan, (), why, 0, int(month.ago(ago)) + days * DAY), actor)
    yield month.ago(5), lambda at: _first(month, "r-jury", lambda grant: _revoke(month, "r-jury", grant, at))
    yield (
        month.ago(3),
        lambda at: _first(
            month,
            "r-press-02",
            lambda grant: given.change("r-press-02", grant, int(month.now) + 60 * DAY, "Card renewed", EVA, at),
        ),
    )


def _grant(month: _Invented, reader: str, wanted: Wanted, actor: Actor) -> Deed:
    giving, named = month.service.governance.giving, f"demo{reader.replace('-', '')}"
    return lambda at: giving.give(reader, replace(wanted, start=int(at)), actor, at, named=named)


def _first(month: _Invented, reader: str, work: Callable[[str], Any]) -> None:
    for grant in month.service.grants.of(reader)[:1]:
        work(grant.id)


def _revoke(month: _Invented, reader: str, grant: str, at: float) -> None:
    month.service.grants.revoke(reader, grant, "The jury has met", DESK, at)


def _passes(month: _Invented) -> Iterator[Dated]:
    for ago, story, openings, why in (
        (8, "2026-harbour-contract", 500, "Newsletter of the week"),
        (2, "2026-school-budget", 50, "For the parents' council"),
    ):
        yield month.ago(ago), _pass(month, WantedPass(story, openings, int(month.now) + 6 * DAY, why))


def _pass(month: _Invented, wanted: WantedPass) -> Deed:
    passes, name = month.service.sharing.passes, f"sp_demo{wanted.openings:04d}"
    return lambda at: passes.create(wanted, EVA, at, pass_id=name)
