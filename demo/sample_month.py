"""Two months of sample data: subscriptions, a group, grants, passes and failed events, for the staff page of a new demo.

The service's own functions write the data, each with the clock of the day on which it happened. Stripe events go through
the event processor, and grants and passes through the same use cases as an admin's. Only the usage counts are computed (see
`sample_usage.py`), since no process counted them. The data is the same each time.

`python -m demo.sample_month` fills the store that the settings name, and the Stripe look-alike at `STRIPE_API_BASE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any

import requests

from demo.sample_subscriptions import UNMAPPED_PRICE, Object, complete_objects, month_from, price_object, subscription
from demo.sample_usage import DAYS, Delivery, Entitlement, write_usage
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest
from service.adapters.redis.story_passes.passes import PassRequest
from service.adapters.stripe.webhook import Envelope
from service.bootstrap import Service
from service.domain.catalogue import DAY, Catalogue
from service.entrypoints.cli import session
from service.use_cases.imports.pacing import retry_while_unavailable
from service.use_cases.reporting.change_listeners import ObjectChangeListener
from service.use_cases.subscriptions.event_processor import EventProcessor

DECLINED, CANCELED, CANCELING, ON_TRIAL = 1, 5, 8, 11
"""The numbers of four special subscribers: card declined, canceled, set to cancel, and on trial."""
UNASSIGNED, REVOKED, FAILED = 1.4, 5, 2
"""Days ago: the payment without a reader, the revocation of the jury's grant, and the declined payment."""
TEACHERS = ("r-teacher-1", "r-teacher-2", "r-teacher-3")
SUBSCRIBERS = ("carla", "jonas", "amira", "tomás", "ingrid", "kofi", "leila", "piotr", "noor", "sam", "yuki", "elena")
PATIENCE = 60.0
"""Seconds that the store may be unavailable. On a machine that is just starting everything, it can be slow for long.

Each write can be repeated."""
EVA, SUPPORT = Actor("eva"), Actor("support")
GRANTS = (
    ("r-press-01", 27, 40, "Press card, checked by phone", EVA),
    ("r-press-02", 24, 31, "Press card", EVA),
    ("r-library", 22, 200, "City library, agreed with sales", EVA),
    ("r-jury", 15, 18, "Jury of the local news prize", SUPPORT),
    ("r-amira", 9, 16, "Paid twice; two weeks free", SUPPORT),
    ("r-source-7", 6, 14, "Helped us with the harbour story", EVA),
    ("r-carla", 1, 30, "Card declined, a new one is on its way", SUPPORT),
)
"""Each grant's reader, how many days ago it begins, its length in days, reason and actor."""
PASSES = (
    (8, "harbour-contract", 500, "Newsletter of the week", 213),
    (2, "school-buses", 50, "For the parents' council", 17),
)
"""Each pass's age in days, story, maximum uses, reason and uses so far."""
CREATED, UPDATED, DELETED = (f"customer.subscription.{change}" for change in ("created", "updated", "deleted"))

Write = Callable[[float], Any]
"""Writes something at the given moment, in epoch seconds."""
AddToStripe = Callable[[Object], None]
Dated = tuple[float, Write]


@dataclass(frozen=True)
class _Month:
    """What the functions of this module share."""

    service: Service
    processor: EventProcessor
    random: Random
    now: float
    event_numbers: Iterator[int]
    add_to_stripe: AddToStripe
    delivered: list[Delivery]

    @property
    def catalogue(self) -> Catalogue:
        return self.service.settings.catalogue

    def ago(self, days: float) -> float:
        return self.now - days * DAY


def fill(service: Service, now: float, add_to_stripe: AddToStripe | None = None) -> None:
    """Write the two months before `now` (epoch seconds) into an empty store.

    `add_to_stripe` gets each Stripe object before its event is processed, and the processor then reads the object from
    Stripe. Without it, the processor uses the events' payloads. Raises: `StoreUnavailable`.
    """
    gateway = service.gateway if add_to_stripe is not None else None
    catalogue = service.settings.catalogue
    listener = ObjectChangeListener(catalogue, service.alert_store, service.clock)
    processor = EventProcessor(
        service.store, service.readers, catalogue, erased=service.erased, gateway=gateway, listener=listener
    )
    random = Random(1042)  # noqa: S311 - no secret depends on it
    month = _Month(service, processor, random, now, count(1), add_to_stripe or (lambda _: None), [])
    writes = [*_subscribers(month), *_group(month), *_problems(month), *_grants(month), *_passes(month)]
    for at, write in sorted(writes, key=lambda dated: dated[0]):
        if at <= now:
            retry_while_unavailable(partial(write, at), PATIENCE)
    store, entitlements, delivered = service.usage_counters.store, _entitlements(month), sorted(month.delivered)
    retry_while_unavailable(
        lambda: write_usage(store, catalogue, entitlements, delivered, random=random, now=now), PATIENCE
    )


# ------------------------------------------------------------------------------------------------- Stripe events


def _event(
    month: _Month, event_type: str, at: float, obj: Object, delay: float = 0.0, at_stripe: Object | None = None
) -> Dated:
    """Return the arrival of an event about `obj`, `delay` seconds after `at`.

    `at_stripe` is the object as it is since its last renewal: the look-alike would renew one whose period has ended again.
    """
    event = f"evt_demo{next(month.event_numbers):05d}"
    envelope = Envelope(event, event_type, int(at), month.catalogue.livemode, None, obj)

    def arrive(moment: float) -> None:
        month.add_to_stripe(at_stripe or obj)
        month.processor.receive_event(envelope, moment)

    if at + delay <= month.now:
        month.delivered.append(Delivery(at + delay, delay))
    return at + delay, arrive


def _sold_plan(catalogue: Catalogue, *, seats: bool) -> str | None:
    """Return the first plan with prices that is a group plan (`seats`) or not; `None` without one."""
    plans = catalogue.plans.values()
    return next((plan.id for plan in plans if plan.prices and plan.seats == seats and plan.pass_hours is None), None)


def _sold_price(catalogue: Catalogue, *, seats: bool) -> Object | None:
    plan = _sold_plan(catalogue, seats=seats)
    return price_object(catalogue.plans[plan].prices[0], plan) if plan is not None else None


def _subscribers(month: _Month) -> Iterator[Dated]:
    """Yield the events of twelve subscriptions, and what happens to four of them."""
    price = _sold_price(month.catalogue, seats=False)
    if price is None:
        return
    for number, name in enumerate(SUBSCRIBERS, start=1):
        reader, start = f"r-{name}", month.ago(_age(number))
        trial_end = int(month.now + 5 * DAY)
        if number == ON_TRIAL:
            trial = {"trial_start": int(start), "trial_end": trial_end, "billing_cycle_anchor": trial_end}
            obj = subscription(number, reader, "trialing", (start, trial_end), price, **trial)
        else:
            obj = subscription(number, reader, "active", month_from(start), price)
        ended = obj["items"]["data"][0]["current_period_end"]
        if ended <= month.now:
            first, obj = obj, subscription(number, reader, "active", month_from(ended), price, created=obj["created"])
            yield _event(month, CREATED, start, first, month.random.uniform(0.4, 4), at_stripe=obj)
            yield _event(month, UPDATED, ended, obj, month.random.uniform(0.4, 4))
        else:
            yield _event(month, CREATED, start, obj, month.random.uniform(0.4, 4))
        if number == DECLINED:
            renewed = month_from(month.ago(FAILED))
            failed = subscription(number, reader, "past_due", renewed, price, created=obj["created"])
            yield _event(month, UPDATED, month.ago(FAILED), {**failed, "billing_cycle_anchor": int(renewed[0])}, 1.5)
        if number == CANCELED:
            at = month.ago(4)
            canceled = {**obj, "status": "canceled", "ended_at": int(at), "canceled_at": int(at)}
            yield _event(month, DELETED, at, canceled, 0.9)
        if number == CANCELING:
            (item,) = obj["items"]["data"]
            end = {"cancel_at_period_end": True, "cancel_at": item["current_period_end"]}
            yield _event(month, UPDATED, month.ago(3), {**obj, **end, "canceled_at": int(month.ago(3))}, 2.2)


def _age(number: int) -> float:
    """Return how many days ago the subscription of this number began."""
    return DAYS - 1 - number * 4.6


def _entitlements(month: _Month) -> list[Entitlement]:
    """Return when each entitlement of the month began and ended, for the usage counts."""
    sold, group = (_sold_plan(month.catalogue, seats=seats) for seats in (False, True))
    held: list[Entitlement] = []
    if sold:
        ages = {number: _age(number) for number in range(1, len(SUBSCRIBERS) + 1)}
        ends, failed = {CANCELED: month.ago(4)}, {DECLINED: month.ago(FAILED)}
        held += [
            Entitlement(sold, month.ago(age), ends.get(number), bought=True, failed=failed.get(number))
            for number, age in ages.items()
        ]
    if group:
        held += [Entitlement(group, month.ago(20 - place), None) for place in range(len(TEACHERS))]
    if "vip" in month.catalogue.plans:
        for reader, age, days, *_ in GRANTS:
            end = month.ago(REVOKED if reader == "r-jury" else age - days)
            held.append(Entitlement("vip", month.ago(age), end))
    return held


def _group(month: _Month) -> Iterator[Dated]:
    """Yield a school's subscription with five seats: three are assigned, and for one an invitation is open."""
    price = _sold_price(month.catalogue, seats=True)
    if price is None:
        return
    obj = subscription(90, "r-school", "active", month_from(month.ago(21)), price, quantity=5)
    yield _event(month, CREATED, month.ago(21), obj, 1.1)
    assign = month.service.subscription_admin.assign_seat
    for place, reader in enumerate(TEACHERS):
        yield month.ago(20 - place), partial(assign, "sub_demo090", reader, SUPPORT)
    invite = month.service.owned_groups.create_invitation
    named = sha256(b"invitation").hexdigest()[:24]  # The same one if a write is repeated.
    yield month.ago(1), partial(invite, "sub_demo090", "r-school", month.now + 6 * DAY, named=named)


def _problems(month: _Month) -> Iterator[Dated]:
    """Yield what needs attention: a payment without a reader, a price without a plan, an event that failed."""
    price, at = _sold_price(month.catalogue, seats=False), month.ago(UNASSIGNED)
    if price is not None:
        yield _event(month, CREATED, at, subscription(95, None, "active", month_from(at), price), 0.8)
    unmapped = subscription(96, "r-oda", "active", month_from(month.ago(1.2)), UNMAPPED_PRICE)
    yield _event(month, CREATED, month.ago(1.2), unmapped, 1.7)
    month.delivered.append(Delivery(month.ago(0.6), 0.5))
    yield month.ago(0.6), partial(_fail_event, month)


def _fail_event(month: _Month, at: float) -> None:
    """Record an event, and as many failures of its processing as it takes to give it up."""
    obj = subscription(97, "r-lost", "incomplete_expired", month_from(at), UNMAPPED_PRICE)
    month.add_to_stripe(obj)
    inbox = month.processor.inbox
    event = month.processor.to_inbox_event(
        Envelope("evt_demo_failed", CREATED, int(at), month.catalogue.livemode, None, obj)
    )
    inbox.record(event, at, lease=False)
    for _ in range(10):
        inbox.record_failure(event.name, [event.id], at, "failed: TimeoutError")


# ------------------------------------------------------------------------------------------------- grants and passes


def _grants(month: _Month) -> Iterator[Dated]:
    plans = month.catalogue.grants.plans or tuple(month.catalogue.plans)
    plan = "vip" if "vip" in plans else plans[-1]
    changes, grants = month.service.grant_changes, month.service.grants

    def create(reader: str, days: int, reason: str, actor: Actor, at: float) -> None:
        request = GrantRequest(plan, (), reason, int(at), int(at) + days * DAY)
        changes.create(reader, request, actor, at, named=sha256(reader.encode()).hexdigest()[:24])

    def revoke(reader: str, at: float) -> None:
        for grant in grants.list_for_reader(reader)[:1]:
            grants.revoke(reader, grant.id, "The jury has met", SUPPORT, at)

    def extend(reader: str, at: float) -> None:
        for grant in grants.list_for_reader(reader)[:1]:
            changes.change(reader, grant.id, int(month.now) + 60 * DAY, "Card renewed", EVA, at)

    for reader, age, days, reason, actor in GRANTS:
        yield month.ago(age), partial(create, reader, days, reason, actor)
    yield month.ago(REVOKED), partial(revoke, "r-jury")
    yield month.ago(3), partial(extend, "r-press-02")


def _passes(month: _Month) -> Iterator[Dated]:
    passes = month.service.passes

    def create(pass_id: str, request: PassRequest, at: float) -> None:
        passes.create(request, EVA, at, pass_id=pass_id)

    def use(pass_id: str, number: int, at: float) -> None:
        passes.open(pass_id, None, f"v-{pass_id}-{number}", at)

    for age, story, maximum, reason, uses in PASSES:
        pass_id = f"sp_{sha256(story.encode()).hexdigest()[:20]}"
        request = PassRequest(story, maximum, int(month.now) + 6 * DAY, reason)
        yield month.ago(age), partial(create, pass_id, request)
        yield from ((month.ago(age * n / (uses + 1)), partial(use, pass_id, n)) for n in range(1, uses + 1))


# ------------------------------------------------------------------------------------------------- as a command


def fill_with_lookalike(service: Service) -> None:
    """Fill the service's store, and the Stripe look-alike that its settings name, if any, with the month before now."""
    base = service.settings.stripe_api_base
    with requests.Session() as client:
        client.trust_env = False  # the look-alike is on this machine, so ignore proxies

        def add(obj: Object) -> None:
            for each in complete_objects(obj):
                body = {"object": each, "live": True}
                client.post(f"{base}/_lookalike/object", json=body, timeout=10).raise_for_status()

        fill(service, service.clock(), add if base is not None else None)


if __name__ == "__main__":
    with session.service() as service:
        fill_with_lookalike(service)
