"""`/v1/subscriptions/{subscription}/seats`: the seats of group plans."""

from __future__ import annotations

from flask import Response, jsonify

from service.bootstrap import Service
from service.domain.ids import read_id
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import NothingIn, ReasonMaybeIn, check_reader_id, read_field
from service.entrypoints.responses.stripe_objects import GroupOut


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of seats."""
    admin = service.subscription_admin

    @routes.add("GET /v1/subscriptions/<subscription>/seats", "viewer", GroupOut, refuses=(404, 409))
    def show_seats(subscription: str) -> Response:
        """The seats of a group's subscription: how many are paid for, who has one, who lost one."""
        name = read_field("subscription", read_id, subscription)
        return jsonify(GroupOut.write(admin.load_seats(name, service.clock())))

    @routes.add(
        "PUT /v1/subscriptions/<subscription>/seats/<reader>", "granter", GroupOut, takes=NothingIn, refuses=(404, 409)
    )
    def assign_seat(subscription: str, reader: str) -> Response:
        """Give a reader a seat; a repeat changes nothing."""
        name, who = read_field("subscription", read_id, subscription), check_reader_id(reader)
        bodies.load(NothingIn, optional=True)
        return jsonify(GroupOut.write(admin.assign_seat(name, who, guards.actor(), service.clock())))

    @routes.add(
        "DELETE /v1/subscriptions/<subscription>/seats/<reader>",
        "granter",
        GroupOut,
        reason=ReasonMaybeIn,
        refuses=(404, 409),
    )
    def release_seat(subscription: str, reader: str) -> Response:
        """Free a reader's seat; a repeat changes nothing."""
        name, who = read_field("subscription", read_id, subscription), check_reader_id(reader)
        reason = bodies.reason(ReasonMaybeIn)
        return jsonify(GroupOut.write(admin.release_seat(name, who, guards.actor(), service.clock(), reason=reason)))
