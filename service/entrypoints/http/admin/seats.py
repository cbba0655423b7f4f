"""The seats of a group subscription: how many are paid for, who has one, assign and remove."""

from __future__ import annotations

from flask import Response, request, url_for

from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import Catalogue
from service.domain.sources import Standing
from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import Outcome, PageContext, render
from service.entrypoints.http.admin.request_inputs import checked_id, form_field, optional_reason, reader_id
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.stripe_objects import GroupOut


def register(context: PageContext) -> None:
    """Add the seats of a group."""
    admin = context.service.subscription_admin

    @context.page("GET /seats", "viewer")
    def seats(problem: Problem | None = None) -> Response:
        name = subscription()
        group = GroupOut.write(admin.load_seats(name, context.now))
        stored = context.service.event_processor.objects.load(f"subscription:{name}")
        return render(
            "seats.html",
            group=group,
            owner=stored.owner.reader,
            inactive_status=_inactive_status(stored, context.catalogue, context.now),
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
        admin.release_seat(name, reader, guards.actor(), context.now, reason=optional_reason())
        return "Seat removed.", url_for("seats", id=name)

    def subscription() -> str:
        return checked_id(request.values.get("id"), "subscription")


def _inactive_status(stored: StoredObject, catalogue: Catalogue, now: float) -> str | None:
    """Return Stripe's status of a group whose seats give no access now; `None` if they do."""
    source = stored.facts.source if stored.facts is not None else None
    held = [one for one in source.holdings(catalogue) if one.plan and catalogue.plans[one.plan].seats] if source else []
    is_active = any(one.standing_at(now) in (Standing.GOOD, Standing.GRACE) for one in held)
    return held[0].status if held and not is_active else None
