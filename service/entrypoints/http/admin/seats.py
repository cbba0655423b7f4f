"""The seats of a group subscription: how many are paid for, who has one, assign and remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request, url_for

from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import Catalogue
from service.domain.errors import NoSeats, SeatsFull, UnknownSubscription
from service.domain.sources import Standing
from service.entrypoints.http.admin.page_context import PageContext, current_actor, render, requires, submit_once
from service.entrypoints.http.admin.request_inputs import checked_id, form_field, optional_reason, reader_id
from service.entrypoints.http.api.links_and_seats import group_told
from service.entrypoints.http.errors import Problem
from service.use_cases.subscriptions.administration import Group


def register(app: Flask, context: PageContext) -> None:
    """Add the seats of a group."""
    admin = context.service.stripe_admin

    @app.get("/seats")
    @requires("viewer")
    def seats() -> Response:
        return show(checked_id(request.args.get("id"), "subscription"))

    @app.post("/seats/give")
    @requires("granter")
    def assign_seat() -> Response:
        name = checked_id(form_field("id"), "subscription")

        def work() -> str:
            reader = reader_id(form_field("reader"))
            _known(lambda: admin.give_seat(name, reader, current_actor(), context.now))
            return "Seat assigned."

        return submit(name, work)

    @app.post("/seats/take")
    @requires("granter")
    def remove_seat() -> Response:
        name = checked_id(form_field("id"), "subscription")

        def work() -> str:
            reader = reader_id(form_field("reader"))
            _known(lambda: admin.take_seat(name, reader, current_actor(), context.now, reason=optional_reason()))
            return "Seat removed."

        return submit(name, work)

    def submit(name: str, work: Callable[[], str]) -> Response:
        try:
            return submit_once(context, lambda: (work(), url_for("seats", id=name)))
        except Problem as problem:
            return show(name, problem)

    def show(name: str, problem: Problem | None = None) -> Response:
        group: dict[str, Any] = group_told(_known(lambda: admin.group(name, context.now)))
        stored = context.service.engine.objects.load(f"subscription:{name}")
        return render(
            "seats.html",
            status=problem.status if problem is not None else 200,
            group=group,
            owner=stored.owner.reader,
            inactive_status=_inactive_status(stored, context.service.desk.catalogue, context.now),
            problem=problem,
            typed=form_field("reader") or "",
        )


def _inactive_status(stored: StoredObject, catalogue: Catalogue, now: float) -> str | None:
    """Return Stripe's status of a group whose seats give no access now; `None` if they do."""
    source = stored.told.source if stored.told is not None else None
    held = [one for one in source.holdings(catalogue) if one.plan and catalogue.plans[one.plan].seats] if source else []
    is_active = any(one.standing_at(now) in (Standing.GOOD, Standing.GRACE) for one in held)
    return held[0].status if held and not is_active else None


def _known(work: Callable[[], Group]) -> Group:
    """Return a group. `Problem` 404, 409."""
    try:
        return work()
    except UnknownSubscription:
        raise Problem(404, "No subscription with this ID, here or at Stripe.") from None
    except NoSeats:
        raise Problem(409, "This subscription has no plan with seats.") from None
    except SeatsFull:
        raise Problem(409, "All seats are assigned. Remove one first, or buy more seats.") from None
