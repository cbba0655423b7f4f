"""`/v1/decisions/{id}`: what was answered then, and why; told from the id itself and from what is kept of the past."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from service.domain.times import write_time
from service.entrypoints.http import guards
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import Problem
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses import encoder as encode
from service.entrypoints.responses.governance_schemas import DecisionOut
from service.use_cases.access.explain import Told, Why


def blueprint(why: Why, clock: Callable[[], float]) -> Blueprint:
    """Decisions."""
    blp = Blueprint("decisions", __name__)

    @blp.get("/v1/decisions/<decision>")
    @described(gives={200: DecisionOut}, refuses=(404,), tag="decisions")
    @guards.admin("viewer")
    def show_decision(decision: str) -> Response:
        """A decision of the last seven days, as it was answered, with each step that led there."""
        told = why.decision(decision, clock())
        if told is None:
            raise Problem(404, "No decision of the last seven days has this id.")
        return private(encoded(told))

    return blp


def encoded(told: Told) -> dict[str, Any]:
    """A told decision as the contract has it; for the page, the API and the command line."""
    source = told.decision.source
    return {
        "decision_id": told.decision_id,
        "at": write_time(told.at),
        "reader": told.reader,
        "visitor": told.visitor,
        "story": told.story,
        "show": told.show,
        "reason": told.reason.value if told.reason else None,
        "tier": told.tier,
        "parts": {part: "open" if opened else "locked" for part, opened in told.decision.parts},
        "meter": encode.meter(told.meter) if told.meter else None,
        "source": {"type": source.type, "id": source.id, "plan": source.plan} if source else None,
        "policy_revision": told.policy_revision,
        "explain": [{**step, "values": encode.timed(step["values"])} for step in told.steps],
    }
