"""`/v1/readers/{reader}`: what a reader holds, from what, and how it stands; now or at another moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from service.domain import ids, times
from service.entrypoints.http import guards
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import invalid
from service.entrypoints.http.openapi_description import described, query
from service.entrypoints.http.query_parameters import taken
from service.entrypoints.responses.encoder import reader as encoded
from service.entrypoints.responses.schemas import ReaderOut
from service.use_cases.access.reader_profile import Profiles

AT = query("at", "Another moment: a past one as it stood, a future one if nothing changes.", {"type": "string"})


def path_reader(reader: str) -> str:
    """A reader's id in a path. `Problem` 422 if it is none."""
    try:
        return ids.read_reader(reader)
    except ValueError as error:
        raise invalid([("reader", str(error))]) from None


def blueprint(profiles: Profiles, clock: Callable[[], float]) -> Blueprint:
    """What admins see of a reader."""
    blp = Blueprint("readers", __name__)

    @blp.get("/v1/readers/<reader>")
    @described(gives={200: ReaderOut}, parameters=(AT,), tag="readers")
    @guards.admin("viewer")
    def show_reader(reader: str) -> Response:
        """A reader's access, features, sources and meters; empty for a stranger."""
        name, now = path_reader(reader), clock()
        return private(tell(profiles, name, _moment(), now))

    return blp


def tell(profiles: Profiles, reader: str, at: float | None, now: float) -> dict[str, Any]:
    """A reader as admins see her, at a moment or now; for the page, the API and the command line."""
    profile = profiles.of(reader, now if at is None else at, now)
    return encoded(
        reader, profile.features, profile.holdings, profile.customers, profile.meters, now if at is None else at
    )


def _moment() -> float | None:
    given = taken("at").get("at")
    if given is None:
        return None
    try:
        return times.read_time(given)
    except ValueError as error:
        raise invalid([("at", str(error))]) from None
