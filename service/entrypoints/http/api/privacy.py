"""A reader's rights: everything that is kept of one reader, and erasing it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import REASON, described, query
from service.entrypoints.http.query_parameters import flag
from service.entrypoints.responses.readers import ErasedOut, ReaderExportOut, write_erasure, write_reader_export
from service.entrypoints.responses.shared_schemas import ReasonIn
from service.entrypoints.responses.validation import reader_id

FORCE = query("force", "Erase although a subscription pays for this reader.", {"type": "boolean", "default": False})


def blueprint(service: Service) -> Blueprint:
    """Return the two routes; both are for owners."""
    blp = Blueprint("privacy", __name__)
    reason_in = ReasonIn()

    @blp.get("/v1/readers/<reader>/export")
    @described(gives={200: ReaderExportOut}, tag="readers")
    @guards.admin("owner")
    def export_reader(reader: str) -> Response:
        """Everything that is kept of a reader: what they hold, its history, the audit records about them."""
        return private(write_reader_export(service.export.collect(reader_id(reader), service.clock())))

    @blp.delete("/v1/readers/<reader>")
    @described(
        takes=ReasonIn,
        body_required=False,
        gives={200: ErasedOut},
        refuses=(409,),
        parameters=(REASON, FORCE),
        tag="readers",
    )
    @guards.admin("owner")
    def erase_reader(reader: str) -> Response:
        """Erase a reader everywhere; only a hash of the ID stays, so that Stripe does not bring them back."""
        name, force = reader_id(reader), flag("force", "reason")
        reason = bodies.reason(reason_in, also=("force",)) or ""
        return jsonify(write_erasure(service.erasure.erase(name, reason, guards.actor(), service.clock(), force=force)))

    return blp
