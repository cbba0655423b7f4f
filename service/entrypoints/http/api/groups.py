"""`/v1/groups` and `/v1/invites/accept`: the website lets the owner of a group manage its seats, and readers join it."""

from __future__ import annotations

from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.domain.ids import read_reader
from service.entrypoints.http import guards, idempotency, inputs
from service.entrypoints.http.routes import ApiRoutes, query
from service.entrypoints.responses.fields import JsonObject, read_field
from service.entrypoints.responses.groups import (
    AcceptedOut,
    AcceptIn,
    CreatedInviteOut,
    GroupOut,
    GroupsOut,
    InviteIn,
    InviteOut,
    OwnerIn,
)

ID = {"type": "string", "minLength": 1, "maxLength": 128, "example": "r-1042"}
OWNER = {**query("owner", "The reader whose groups these are.", ID), "required": True}
SEAT = "/v1/groups/<subscription>/seats/<reader>"


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of groups. The site vouches that `owner` and `reader` are who is signed in."""
    groups = service.owned_groups

    @routes.add("GET /v1/groups", "site", GroupsOut, parameters=(OWNER,))
    def list_groups() -> JsonObject:
        """List the running groups that a reader owns, with seats and open invitations."""
        given = inputs.query_values("owner").get("owner")
        if given is None:
            raise InvalidFields([("owner", "is required")])
        owned = groups.list_owned(read_field("owner", read_reader, given), service.clock())
        return GroupsOut.write({"groups": [group for group in owned if not group.has_ended]})

    @routes.add(f"PUT {SEAT}", "site", GroupOut, body=OwnerIn, refuses=(409,))
    def assign_group_seat(subscription: str, reader: str, data: JsonObject) -> JsonObject:
        """The owner gives a reader a seat; a repeat changes nothing."""
        actor = guards.site_actor()
        return GroupOut.write(groups.assign_seat(subscription, data["owner"], reader, actor, service.clock()))

    @routes.add(f"DELETE {SEAT}", "site", GroupOut, body=OwnerIn, refuses=(409,))
    def release_group_seat(subscription: str, reader: str, data: JsonObject) -> JsonObject:
        """The owner takes a reader's seat back; a repeat changes nothing."""
        actor = guards.site_actor()
        return GroupOut.write(groups.release_seat(subscription, data["owner"], reader, actor, service.clock()))

    @routes.add(
        "POST /v1/groups/<subscription>/invites",
        "site",
        {201: CreatedInviteOut},
        body=InviteIn,
        refuses=(409,),
        repeatable=True,
    )
    def create_invite(subscription: str, data: JsonObject) -> tuple[JsonObject, int]:
        """The owner creates an invitation to one seat, a token for a link. At most as many are open as seats are free."""
        made, token = groups.create_invitation(
            subscription, data["owner"], data["until"], service.clock(), named=idempotency.token()
        )
        return CreatedInviteOut.write({"id": made.id, "invite": token, "until": made.until}), 201

    @routes.add("DELETE /v1/groups/<subscription>/invites/<invite_id>", "site", InviteOut, body=OwnerIn)
    def withdraw_invite(subscription: str, invite_id: str, data: JsonObject) -> JsonObject:
        """The owner withdraws an open invitation; a repeat changes nothing."""
        return InviteOut.write(groups.withdraw_invitation(subscription, data["owner"], invite_id, service.clock()))

    @routes.add("POST /v1/invites/accept", "site", AcceptedOut, body=AcceptIn, refuses=(404, 409))
    def accept_invite(data: JsonObject) -> JsonObject:
        """A reader accepts an invitation and gets its seat; who has a seat keeps it, and the invitation stays open."""
        subscription = groups.accept_invitation(data["invite"], data["reader"], guards.site_actor(), service.clock())
        return AcceptedOut.write({"subscription": subscription, "reader": data["reader"]})
