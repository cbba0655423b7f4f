"""`/openapi.json` (apispec): what each route takes, gives and refuses, from its entry in `routes` and its schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import fields

from service.entrypoints.http.routes import IDEMPOTENCY_KEY, Answer, Parameter, RouteDescription
from service.entrypoints.responses.errors import STATUSES
from service.entrypoints.responses.fields import Read, ResponseSchema

BODY_REFUSALS = (400, 413, 415, 422)
GUARD_REFUSALS = (401, 403, 429)
STORE_REFUSALS = (503,)

IN_PATH: Parameter = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class FieldErrorOut(ResponseSchema):
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProblemOut(ResponseSchema):
    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorOut), required=True)


class _ReadPlugin(MarshmallowPlugin):
    """Describes a `Read` field by its own specification; null is a type of one that may be null."""

    def init_spec(self, spec: APISpec) -> None:
        super().init_spec(spec)
        assert self.converter is not None
        self.converter.add_attribute_function(_read_field)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _read_field(_: Any, item: fields.Field[Any], **__: Any) -> dict[str, Any]:
    if not isinstance(item, Read):
        return {}
    spec = dict(item.metadata)
    if item.allow_none:
        spec["type"] = [spec["type"], "null"]
    return spec


def describe_api(app: Flask, title: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an app's routes."""
    spec = APISpec(title=title, version="1", openapi_version="3.1.0", plugins=[_ReadPlugin()])
    spec.components.security_scheme("site_key", {"type": "http", "scheme": "bearer"})
    spec.components.security_scheme("admin_key", {"type": "http", "scheme": "bearer"})
    spec.components.schema("Problem", schema=ProblemOut)
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if not view.described.gives:
            continue
        path = _PATH_PARAMETER.sub(r"{\1}", str(rule))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(view, _PATH_PARAMETER.findall(str(rule)))
    for path, operations in sorted(paths.items()):
        spec.path(path=path, operations=operations)
    return spec.to_dict()


def _operation(view: Any, names: list[str]) -> dict[str, Any]:
    route: RouteDescription = view.described
    summary, _, more = (view.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "tags": [route.tag],
        "operationId": view.__name__,
        "summary": summary,
        "parameters": [*({**IN_PATH, "name": name} for name in names), *route.parameters],
        "responses": {str(status): _answer(status, given) for status, given in route.gives.items()},
    }
    if more.strip():
        operation["description"] = more.strip()
    statuses = set(route.refuses)
    if names or route.parameters:
        statuses.add(422)
    if IDEMPOTENCY_KEY in route.parameters:
        statuses.add(409)
    if view.demands is not None:
        statuses |= {*GUARD_REFUSALS, *STORE_REFUSALS}
        operation["security"] = [{"site_key" if view.demands == "site" else "admin_key": []}]
    if route.takes is not None:
        statuses |= set(BODY_REFUSALS)
        content = route.takes if isinstance(route.takes, Mapping) else {"application/json": {"schema": route.takes}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    for status in sorted(statuses):
        operation["responses"].setdefault(str(status), _refusal(status))
    return operation


def _answer(status: int, given: Answer) -> dict[str, Any]:
    description = {200: "Done.", 201: "Made.", 202: "Taken; it is not done yet."}.get(status, "Answered.")
    if isinstance(given, Mapping):
        return {"description": description, "content": dict(given)}
    return {"description": description, "content": {"application/json": {"schema": given}}}


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": STATUSES[status][1], "content": content}
