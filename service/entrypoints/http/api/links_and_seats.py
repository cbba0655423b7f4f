"""Whose Stripe's objects are: links, merges of readers, and the seats of group plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.adapters.redis.stripe_objects.seats import Seat
from service.domain import ids
from service.domain.errors import CannotMerge, NoSeats, SeatsFull, UnknownSubscription
from service.domain.times import write_time
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.readers import path_reader
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, REASON, described
from service.entrypoints.responses.schemas import ReasonMaybeIn
from service.entrypoints.responses.stripe_schemas import GroupOut, LinkedOut, LinkIn, MergedOut, MergeIn, NoFieldsIn
from service.use_cases.subscriptions.administration import Admin, Group


def path_id(name: str, value: str) -> str:
    """An id in a path. `Problem` 422 if it is none."""
    try:
        return ids.read_id(value)
    except ValueError as error:
        raise invalid([(name, str(error))]) from None


def blueprint(admin: Admin, repeated: IdempotencyStore, clock: Callable[[], float]) -> Blueprint:
    """What admins say about whose things are."""
    blp = Blueprint("belonging", __name__)
    _add_links(blp, admin, repeated, clock)
    _add_seats(blp, admin, clock)
    return blp


def _add_links(blp: Blueprint, admin: Admin, repeated: IdempotencyStore, clock: Callable[[], float]) -> None:
    link_in, merge_in = LinkIn(), MergeIn()

    @blp.post("/v1/readers/<reader>/links")
    @described(takes=LinkIn, gives={200: LinkedOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="readers")
    @guards.admin("granter")
    def link_reader(reader: str) -> Response:
        """Says that a customer or a subscription of Stripe's is this reader's, above all metadata."""
        name = path_reader(reader)
        data = bodies.load(link_in)
        customer, subscription = data.get("customer"), data.get("subscription")
        if (customer is None) == (subscription is None):
            message = "give either customer or subscription"
            raise invalid([("customer", message), ("subscription", message)])

        def link() -> Response:
            return jsonify(linked(admin, name, customer, subscription, data.get("reason"), guards.actor(), clock()))

        return repeats.once(repeated, link)

    @blp.post("/v1/readers/<reader>/merge")
    @described(takes=MergeIn, gives={200: MergedOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="readers")
    @guards.admin("owner")
    def merge_readers(reader: str) -> Response:
        """Makes `from` one with this reader, for good: `from` is answered as this reader everywhere."""
        name = path_reader(reader)
        data = bodies.load(merge_in)

        def merge() -> Response:
            return jsonify(merged(admin, name, data["from_"], data.get("reason"), guards.actor(), clock()))

        return repeats.once(repeated, merge)


def _add_seats(blp: Blueprint, admin: Admin, clock: Callable[[], float]) -> None:
    nothing_in, reason_in = NoFieldsIn(), ReasonMaybeIn()

    @blp.get("/v1/subscriptions/<subscription>/seats")
    @described(gives={200: GroupOut}, refuses=(404, 409), tag="seats")
    @guards.admin("viewer")
    def show_seats(subscription: str) -> Response:
        """The seats of a group's subscription: how many are paid for, who has one, who lost one."""
        name = path_id("subscription", subscription)
        return jsonify(seats(lambda: admin.group(name, clock())))

    @blp.put("/v1/subscriptions/<subscription>/seats/<reader>")
    @described(takes=NoFieldsIn, body_required=False, gives={200: GroupOut}, refuses=(404, 409), tag="seats")
    @guards.admin("granter")
    def give_seat(subscription: str, reader: str) -> Response:
        """Gives a reader a seat; given again, nothing changes."""
        name, who = path_id("subscription", subscription), path_reader(reader)
        bodies.load(nothing_in, optional=True)
        return jsonify(seats(lambda: admin.give_seat(name, who, guards.actor(), clock())))

    @blp.delete("/v1/subscriptions/<subscription>/seats/<reader>")
    @described(
        takes=ReasonMaybeIn,
        body_required=False,
        gives={200: GroupOut},
        refuses=(404, 409),
        parameters=(REASON,),
        tag="seats",
    )
    @guards.admin("granter")
    def take_seat(subscription: str, reader: str) -> Response:
        """Takes a reader's seat back; taken again, nothing changes."""
        name, who = path_id("subscription", subscription), path_reader(reader)
        reason = bodies.reason(reason_in)
        return jsonify(seats(lambda: admin.take_seat(name, who, guards.actor(), clock(), reason=reason)))


def linked(
    admin: Admin,
    reader: str,
    customer: str | None,
    subscription: str | None,
    reason: str | None,
    actor: Actor,
    now: float,
) -> dict[str, Any]:
    """Links one of the two, and tells whose it was; for the API and the command line."""
    done = admin.link(reader, customer=customer, subscription=subscription, actor=actor, now=now, reason=reason)
    what = {"customer": customer} if customer is not None else {"subscription": subscription}
    return {"reader": reader, **what, "was": done.was}


def merged(admin: Admin, reader: str, gone: str, reason: str | None, actor: Actor, now: float) -> dict[str, Any]:
    """Merges `gone` into the reader. `Problem` 409 where that cannot be."""
    try:
        admin.merge(reader, gone, actor, now, reason=reason)
    except CannotMerge as error:
        raise Problem(409, f"{error.why[:1].upper()}{error.why[1:]}.", kind="cannot-merge") from None
    return {"reader": reader, "from": gone}


def seats(work: Callable[[], Group]) -> dict[str, Any]:
    """The seats as they are after some work. `Problem` 404 or 409 where there are none, or none left."""
    try:
        return group_told(work())
    except UnknownSubscription:
        raise Problem(404, "This subscription is not known, here or at Stripe.") from None
    except NoSeats:
        raise Problem(409, "This subscription is of no plan with seats.", kind="no-seats") from None
    except SeatsFull:
        raise Problem(409, "Every seat that is paid for is given.", kind="seats-full") from None


def group_told(group: Group) -> dict[str, Any]:
    """A group's seats as admins see them."""
    return {
        "subscription": group.subscription,
        "quantity": group.quantity,
        "used": len(group.seats),
        "seats": [_seat(seat) for seat in group.seats],
        "removed": [_seat(seat) for seat in group.removed],
    }


def _seat(seat: Seat) -> dict[str, Any]:
    return {"reader": seat.reader, "since": write_time(seat.since)}
