"""The seats of a group subscription: how many are paid for, who has one, assign and remove."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request, url_for

from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import Catalogue
from service.domain.sources import Standing
from service.entrypoints.http import guards
from service.entrypoints.http.admin.page_context import PageContext, render, submit
from service.entrypoints.http.admin.request_inputs import checked_id, form_field, optional_reason, reader_id
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.stripe_objects import GroupOut


def register(context: PageContext) -> None:
    """Add the seats of a group."""
    admin = context.service.subscription_admin

    @context.page("GET /seats", "viewer")
    def seats() -> Response:
        return show(checked_id(request.args.get("id"), "subscription"))

    @context.page("POST /seats/give", "granter")
    def assign_seat() -> Response:
        name = checked_id(form_field("id"), "subscription")

        def work() -> str:
            reader = reader_id(form_field("reader"))
            admin.assign_seat(name, reader, guards.actor(), context.now)
            return "Seat assigned."

        return submit_seat(name, work)

    @context.page("POST /seats/take", "granter")
    def remove_seat() -> Response:
        name = checked_id(form_field("id"), "subscription")

        def work() -> str:
            reader = reader_id(form_field("reader"))
            admin.release_seat(name, reader, guards.actor(), context.now, reason=optional_reason())
            return "Seat removed."

        return submit_seat(name, work)

    def submit_seat(name: str, work: Callable[[], str]) -> Response:
        return submit(context, lambda: (work(), url_for("seats", id=name)), lambda problem: show(name, problem))

    def show(name: str, problem: Problem | None = None) -> Response:
        group = GroupOut.write(admin.load_seats(name, context.now))
        stored = context.service.event_processor.objects.load(f"subscription:{name}")
        return render(
            "seats.html",
            group=group,
            owner=stored.owner.reader,
            inactive_status=_inactive_status(stored, context.service.access_check.catalogue, context.now),
            problem=problem,
            typed=form_field("reader") or "",
        )


def _inactive_status(stored: StoredObject, catalogue: Catalogue, now: float) -> str | None:
    """Return Stripe's status of a group whose seats give no access now; `None` if they do."""
    source = stored.facts.source if stored.facts is not None else None
    held = [one for one in source.holdings(catalogue) if one.plan and catalogue.plans[one.plan].seats] if source else []
    is_active = any(one.standing_at(now) in (Standing.GOOD, Standing.GRACE) for one in held)
    return held[0].status if held and not is_active else None
