"""Why a story is shown to a reader as it is, now or at a past moment, and what one can tell her; a decision by its id."""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, Response, redirect, request, url_for

from service.domain import ids
from service.domain.catalogue import Story
from service.domain.reader_sentences import reader_sentence
from service.entrypoints.http.admin import time_inputs as moments
from service.entrypoints.http.admin.frame import Frame, asked, needs, show
from service.entrypoints.http.admin.reader import the_reader
from service.entrypoints.http.api.decisions import encoded
from service.entrypoints.http.errors import Problem, invalid
from service.use_cases.access.explain import Told


def register(page: Flask, frame: Frame) -> None:
    """Adds them."""
    catalogue, told_by = frame.service.desk.catalogue, frame.service.why

    @page.get("/why")
    @needs("viewer")
    def why() -> Response:
        reader = the_reader(request.args.get("id"))
        now, at = frame.now, moments.moment(asked("at"), asked("zone"), catalogue.zone, "at")
        story = Story(the_story(asked("story")), tier=the_tier(asked("tier")))
        told = told_by.now(reader, story, now) if at is None else told_by.at(reader, story, at, now)
        return _answer(told, reader)

    def the_tier(name: str | None) -> str | None:
        if name is not None and name not in catalogue.tiers:
            raise invalid([("tier", "is not a tier of the configuration")])
        return name

    @page.get("/decision")
    @needs("viewer")
    def decision() -> Response:
        """A decision of the last seven days, as it was answered then."""
        if asked("id") is None:
            return cast(Response, redirect(url_for("readers"), 303))
        told = told_by.decision(asked("id") or "", frame.now)
        if told is None:
            raise Problem(404, "No decision of the last seven days has this id.")
        return _answer(told, told.reader)

    def _answer(told: Told, reader: str | None) -> Response:
        values: dict[str, Any] = {
            "told": encoded(told),
            "reader": reader,
            "at": asked("at"),
            "tier": asked("tier"),
            "tiers": list(catalogue.tiers),
            "sentence": reader_sentence(told.decision, catalogue) if told.reason is not None else None,
        }
        return show("why_part.html" if "HX-Request" in request.headers else "why.html", **values)


def the_story(given: str | None) -> str:
    """A story's id. `Problem` 422."""
    try:
        return ids.read_id(given or "")
    except ValueError as error:
        raise invalid([("story", str(error))]) from None
