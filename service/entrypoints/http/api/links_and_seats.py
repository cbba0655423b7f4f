"""Who owns Stripe's objects: links, merges of readers, and the seats of group plans."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.domain.ids import read_id
from service.entrypoints.http import guards
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.openapi_description import IDEMPOTENCY_KEY, REASON, described
from service.entrypoints.responses.shared_schemas import NothingIn, ReasonMaybeIn
from service.entrypoints.responses.stripe_objects import (
    GroupOut,
    LinkedOut,
    LinkIn,
    MergedOut,
    MergeIn,
    write_group,
    write_link,
    write_merge,
)
from service.entrypoints.responses.validation import read_field, reader_id


def blueprint(service: Service, repeated: IdempotencyStore) -> Blueprint:
    """Return the routes of links, merges and seats."""
    blp = Blueprint("ownership", __name__)
    _add_links(blp, service, repeated)
    _add_seats(blp, service)
    return blp


def _add_links(blp: Blueprint, service: Service, repeated: IdempotencyStore) -> None:
    admin, link_in, merge_in = service.subscription_admin, LinkIn(), MergeIn()

    @blp.post("/v1/readers/<reader>/links")
    @described(takes=LinkIn, gives={200: LinkedOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="readers")
    @guards.admin("granter")
    def link_reader(reader: str) -> Response:
        """Link a customer or a subscription of Stripe's to this reader, above all metadata."""
        name = reader_id(reader)
        data = bodies.load(link_in)
        target = {kind: data[kind] for kind in ("customer", "subscription") if data.get(kind) is not None}
        if len(target) != 1:
            message = "give either customer or subscription"
            raise InvalidFields([("customer", message), ("subscription", message)])

        def link() -> Response:
            linked = admin.link_to_reader(
                name, **target, actor=guards.actor(), now=service.clock(), reason=data.get("reason")
            )
            return jsonify(write_link(name, target, linked.was))

        return repeats.once(repeated, link)

    @blp.post("/v1/readers/<reader>/merge")
    @described(takes=MergeIn, gives={200: MergedOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="readers")
    @guards.admin("owner")
    def merge_readers(reader: str) -> Response:
        """Merge the reader `from` into this one, for good: `from` is answered as this reader everywhere."""
        name = reader_id(reader)
        data = bodies.load(merge_in)

        def merge() -> Response:
            admin.merge_readers(name, data["from_"], guards.actor(), service.clock(), reason=data.get("reason"))
            return jsonify(write_merge(name, data["from_"]))

        return repeats.once(repeated, merge)


def _add_seats(blp: Blueprint, service: Service) -> None:
    admin, nothing_in, reason_in = service.subscription_admin, NothingIn(), ReasonMaybeIn()

    @blp.get("/v1/subscriptions/<subscription>/seats")
    @described(gives={200: GroupOut}, refuses=(404, 409), tag="seats")
    @guards.admin("viewer")
    def show_seats(subscription: str) -> Response:
        """The seats of a group's subscription: how many are paid for, who has one, who lost one."""
        name = read_field("subscription", read_id, subscription)
        return jsonify(write_group(admin.load_seats(name, service.clock())))

    @blp.put("/v1/subscriptions/<subscription>/seats/<reader>")
    @described(takes=NothingIn, body_required=False, gives={200: GroupOut}, refuses=(404, 409), tag="seats")
    @guards.admin("granter")
    def assign_seat(subscription: str, reader: str) -> Response:
        """Give a reader a seat; a repeat changes nothing."""
        name, who = read_field("subscription", read_id, subscription), reader_id(reader)
        bodies.load(nothing_in, optional=True)
        return jsonify(write_group(admin.assign_seat(name, who, guards.actor(), service.clock())))

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
    def release_seat(subscription: str, reader: str) -> Response:
        """Free a reader's seat; a repeat changes nothing."""
        name, who = read_field("subscription", read_id, subscription), reader_id(reader)
        reason = bodies.reason(reason_in)
        return jsonify(write_group(admin.release_seat(name, who, guards.actor(), service.clock(), reason=reason)))
