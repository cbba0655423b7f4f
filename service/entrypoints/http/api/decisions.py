"""`/v1/decisions/{id}`: what was answered then, and why."""

from __future__ import annotations

from flask import Blueprint, Response

from service.bootstrap import Service
from service.entrypoints.http import guards
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses.access import DecisionOut, write_decision


def blueprint(service: Service) -> Blueprint:
    """Return the route of decisions."""
    blp = Blueprint("decisions", __name__)

    @blp.get("/v1/decisions/<decision>")
    @described(gives={200: DecisionOut}, refuses=(404,), tag="decisions")
    @guards.admin("viewer")
    def show_decision(decision: str) -> Response:
        """A decision of the last seven days, as it was answered, with each step that led there."""
        return private(write_decision(service.explainer.explain_decision(decision, service.clock())))

    return blp
