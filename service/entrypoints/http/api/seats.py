"""`/v1/subscriptions/{subscription}/seats`: the seats of group plans."""

from __future__ import annotations

from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import JsonObject, NothingIn, ReasonMaybeIn
from service.entrypoints.responses.groups import GroupOut


def register(routes: ApiRoutes, service: Service) -> None:
    admin = service.subscription_admin

    @routes.add("GET /v1/subscriptions/<subscription>/seats", "viewer", GroupOut, refuses=(409,))
    def show_seats(subscription: str) -> JsonObject:
        """Return the seats of a group: how many are paid for, who has one, and who lost one."""
        return GroupOut.write(admin.load_seats(subscription, service.clock()))

    @routes.add(
        "PUT /v1/subscriptions/<subscription>/seats/<reader>", "granter", GroupOut, body=NothingIn, refuses=(409,)
    )
    def assign_seat(subscription: str, reader: str) -> JsonObject:
        """Assign a seat to a reader. A repeat changes nothing."""
        return GroupOut.write(admin.assign_seat(subscription, reader, guards.actor(), service.clock()))

    @routes.add(
        "DELETE /v1/subscriptions/<subscription>/seats/<reader>",
        "granter",
        GroupOut,
        reason=ReasonMaybeIn,
        refuses=(409,),
    )
    def release_seat(subscription: str, reader: str, reason: str | None) -> JsonObject:
        """Remove a reader's seat. A repeat changes nothing."""
        return GroupOut.write(admin.release_seat(subscription, reader, guards.actor(), service.clock(), reason=reason))
