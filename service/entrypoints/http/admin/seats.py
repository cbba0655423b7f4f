"""The seats of a group's subscription: how many are paid for, who has one; given and taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request, url_for

from service.adapters.redis.stripe_objects.objects import StoredObject
from service.domain.catalogue import Catalogue
from service.domain.errors import NoSeats, SeatsFull, UnknownSubscription
from service.domain.sources import Standing
from service.entrypoints.http.admin.frame import Frame, actor, form, needs, once, reason, show
from service.entrypoints.http.admin.reader import the_reader
from service.entrypoints.http.api.links_and_seats import group_told, path_id
from service.entrypoints.http.errors import Problem
from service.use_cases.subscriptions.administration import Group


def register(page: Flask, frame: Frame) -> None:
    """Adds them."""
    admin = frame.service.stripe_admin

    @page.get("/seats")
    @needs("viewer")
    def seats() -> Response:
        return _shown(path_id("subscription", request.args.get("id", "").strip()))

    @page.post("/seats/give")
    @needs("granter")
    def give_seat() -> Response:
        name = path_id("subscription", form("id") or "")

        def work() -> tuple[str, str]:
            reader = the_reader(form("reader"))
            group(lambda: admin.give_seat(name, reader, actor(), frame.now))
            return "The seat is given.", url_for("seats", id=name)

        return _tried(name, work)

    @page.post("/seats/take")
    @needs("granter")
    def take_seat() -> Response:
        name = path_id("subscription", form("id") or "")

        def work() -> tuple[str, str]:
            reader = the_reader(form("reader"))
            group(lambda: admin.take_seat(name, reader, actor(), frame.now, reason=reason()))
            return "The seat is free again.", url_for("seats", id=name)

        return _tried(name, work)

    def _tried(name: str, work: Callable[[], tuple[str, str]]) -> Response:
        try:
            return once(frame, work)
        except Problem as problem:
            return _shown(name, problem)

    def _shown(name: str, problem: Problem | None = None) -> Response:
        told: dict[str, Any] = group_told(group(lambda: admin.group(name, frame.now)))
        stored = frame.service.engine.objects.load(f"subscription:{name}")
        return show(
            "seats.html",
            status=problem.status if problem is not None else 200,
            group=told,
            owner=stored.owner.reader,
            shut=_shut(stored, frame.service.desk.catalogue, frame.now),
            problem=problem,
            typed=form("reader") or "",
        )


def _shut(stored: StoredObject, catalogue: Catalogue, now: float) -> str | None:
    """Stripe's word for a group by whose seats nobody reads now; `None` where they open what they should."""
    source = stored.told.source if stored.told is not None else None
    held = [one for one in source.holdings(catalogue) if one.plan and catalogue.plans[one.plan].seats] if source else []
    opens = any(one.standing_at(now) in (Standing.GOOD, Standing.GRACE) for one in held)
    return held[0].status if held and not opens else None


def group(work: Callable[[], Group]) -> Group:
    """A group. `Problem` 404, 409."""
    try:
        return work()
    except UnknownSubscription:
        raise Problem(404, "This subscription is not known, here or at Stripe.") from None
    except NoSeats:
        raise Problem(409, "This subscription is of no plan with seats.") from None
    except SeatsFull:
        raise Problem(409, "Every seat that is paid for is given. Take one back first, or buy more.") from None
