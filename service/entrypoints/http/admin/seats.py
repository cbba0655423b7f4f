"""The seats of a group subscription: how many are paid for, who has one, assign and remove."""

from __future__ import annotations

from flask import Response, request, url_for

from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import Outcome, PageContext, render
from service.entrypoints.http.admin.request_inputs import (
    checked_id,
    form_field,
    optional_reason,
    reader_id,
    require_confirmation,
)
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.groups import GroupOut, InviteOut


def register(context: PageContext) -> None:
    """Add the seats of a group."""
    admin, groups = context.service.subscription_admin, context.service.owned_groups

    @context.page("GET /seats", "viewer")
    def seats(problem: Problem | None = None) -> Response:
        found = admin.load_seats(subscription(), context.now)
        invites = groups.list_open_invitations(found.subscription, context.now)
        return render(
            "seats.html",
            group=GroupOut.write(found),
            invites=[InviteOut.write(invite) for invite in invites],
            owner=found.owner,
            inactive_status=found.inactive_status,
            problem=problem,
            typed=form_field("reader") or "",
        )

    @context.form("POST /seats/give", "granter", seats)
    def assign_seat() -> Outcome:
        name, reader = subscription(), reader_id(form_field("reader"))
        admin.assign_seat(name, reader, guards.actor(), context.now)
        return "Seat assigned.", url_for("seats", id=name)

    @context.form("POST /seats/take", "granter", seats)
    def remove_seat() -> Outcome:
        name, reader = subscription(), reader_id(form_field("reader"))
        require_confirmation("the reader can lose access at once")
        admin.release_seat(name, reader, guards.actor(), context.now, reason=optional_reason())
        return "Seat removed.", url_for("seats", id=name)

    def subscription() -> str:
        return checked_id(request.values.get("id"), "subscription")
