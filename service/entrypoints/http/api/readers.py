"""`/v1/readers/{reader}`: what a reader holds, from which sources; now or at another moment."""

from __future__ import annotations

from flask import Blueprint, Response

from service.bootstrap import Service
from service.domain.times import read_time
from service.entrypoints.http import guards
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import described, query
from service.entrypoints.http.query_parameters import taken
from service.entrypoints.responses.readers import ReaderOut, write_reader
from service.entrypoints.responses.validation import read_field, reader_id

AT = query("at", "Another moment: a past one as it stood, a future one if nothing changes.", {"type": "string"})


def blueprint(service: Service) -> Blueprint:
    """Return the route of a reader's profile."""
    blp = Blueprint("readers", __name__)

    @blp.get("/v1/readers/<reader>")
    @described(gives={200: ReaderOut}, parameters=(AT,), tag="readers")
    @guards.admin("viewer")
    def show_reader(reader: str) -> Response:
        """A reader's access, features, sources and meters; empty for a stranger."""
        name, now = reader_id(reader), service.clock()
        given = taken("at").get("at")
        at = None if given is None else read_field("at", read_time, given)
        return private(write_reader(service.profiles.load_profile(name, at, now)))

    return blp
