"""Routes of the API: each with its guard, its description in `/openapi.json`, and repeats by `Idempotency-Key`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast

from flask import Flask
from marshmallow import Schema

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.domain.roles import Role
from service.entrypoints.http import idempotency, inputs
from service.entrypoints.responses.fields import Check, NothingIn

PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
View = TypeVar("View", bound=Callable[..., Any])
Parameter = Mapping[str, Any]
Answer = type[Schema] | Mapping[str, Any]
"""A schema, or a media type with an example's schema."""


def query(name: str, description: str, schema: Mapping[str, Any] = MappingProxyType({"type": "string"})) -> Parameter:
    """Return an optional parameter in the query."""
    return {"in": "query", "name": name, "required": False, "description": description, "schema": dict(schema)}


def flag(name: str, description: str) -> Parameter:
    """Return an optional parameter in the query that is true or false."""
    return query(name, description, {"type": "boolean", "default": False})


REASON = query(
    "reason",
    "Why, for the audit log. The body can have it instead.",
    {"type": "string", "minLength": 1, "maxLength": 1000},
)
IDEMPOTENCY_KEY: Parameter = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "A repeat with the same key within 24 hours gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@dataclass(frozen=True)
class RouteDescription:
    """What `/openapi.json` reports of a route; `responses` maps a status to an answer."""

    responses: Mapping[int, Answer]
    takes: Answer | None
    body_required: bool
    refuses: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    tag: str


@dataclass(frozen=True, slots=True)
class ApiRoutes:
    """Adds the routes of a resource, which `/openapi.json` lists under `tag`."""

    app: Flask
    tag: str
    repeated: IdempotencyStore

    def add(
        self,
        rule: str,
        role: Role | None,
        responses: type[Schema] | Mapping[int, Answer],
        *,
        body: type[Schema] | None = None,
        check: Check | None = None,
        reason: type[Schema] | None = None,
        flags: tuple[Parameter, ...] = (),
        takes: Answer | None = None,
        most_bytes: int | None = None,
        refuses: tuple[int, ...] = (),
        parameters: tuple[Parameter, ...] = (),
        repeatable: bool = False,
    ) -> Callable[[View], View]:
        """Add a view for a rule such as `POST /v1/passes`; its docstring's first line is the route's summary.

        `role`: the least role of an admin, `site`, or `None` for a route without a key. `responses`: the one of status 200, or
        of each status; a route without one is not described. `refuses`: other statuses of its own; an ID in the path, of
        another thing than a reader, can be unknown (404). `repeatable`: with an `Idempotency-Key` the view works only once.

        The view gets the IDs of the path, which `guards.check_path` has checked, and what the route reads for it:
        - `flags`: each by its own name.
        - `body`, and `check` for what the schema can't know: the JSON body as `data`; nothing for `NothingIn`.
        - `reason`: the schema of a reason in the body or the query, as `reason`.
        - `most_bytes`: a CSV file in the body, as `file`.
        `takes` and `parameters` only describe what the view reads itself, or the file.
        """
        method, path = rule.split(" ")
        if set(PATH_PARAMETER.findall(path)) - {"reader"}:
            refuses = (404, *refuses)
        extra = ((REASON,) if reason is not None else ()) + ((IDEMPOTENCY_KEY,) if repeatable else ())
        description = RouteDescription(
            responses=responses if isinstance(responses, Mapping) else {200: responses},
            takes=reason or body or takes,
            body_required=reason is None and body is not NothingIn,
            refuses=refuses,
            parameters=extra + flags + parameters,
            tag=self.tag,
        )

        def register(view: View) -> View:
            call = idempotency.repeatable(self.repeated, view) if repeatable else view
            answer = inputs.with_inputs(
                call,
                [one["name"] for one in flags],
                [one["name"] for one in parameters],
                body=body,
                further=check,
                reason_by=reason,
                most_bytes=most_bytes,
            )
            cast(Any, answer).demands, cast(Any, answer).described = role, description
            self.app.add_url_rule(path, view_func=answer, methods=[method])
            return view

        return register
