"""`/openapi.json`: what each route takes, gives and refuses, from marks on the views and the schemas of record (apispec).

A view without a mark is not described; a test sees to it that every route has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema, fields

from service.entrypoints.responses.errors import STATUSES
from service.entrypoints.responses.fields import Read
from service.entrypoints.responses.shared_schemas import ProblemOut

View = TypeVar("View", bound=Callable[..., Any])
Parameter = Mapping[str, Any]

BODY_REFUSALS = (400, 413, 415, 422)
GUARD_REFUSALS = (401, 403, 429)
STORE_REFUSALS = (503,)


@dataclass(frozen=True)
class Described:
    """The description of a route: `gives` maps a status to a schema, or to a media type with an example's schema."""

    gives: Mapping[int, type[Schema] | Mapping[str, Any]]
    takes: type[Schema] | Mapping[str, Any] | None = None
    body_required: bool = True
    refuses: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    tag: str = "service"


def described(
    *,
    gives: Mapping[int, type[Schema] | Mapping[str, Any]],
    takes: type[Schema] | Mapping[str, Any] | None = None,
    body_required: bool = True,
    refuses: tuple[int, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    tag: str = "service",
) -> Callable[[View], View]:
    """Mark a view with its description in `/openapi.json`; its docstring's first line is the summary."""
    description = Described(gives, takes, body_required, refuses, parameters, tag)

    def mark(view: View) -> View:
        cast(Any, view).described = description
        return view

    return mark


def query(name: str, description: str, schema: Mapping[str, Any]) -> Parameter:
    """An optional parameter in the query."""
    return {"in": "query", "name": name, "required": False, "description": description, "schema": dict(schema)}


REASON = query("reason", "Why; may stand in the body instead.", {"type": "string", "minLength": 1, "maxLength": 1000})
LIMIT = query("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50})
AFTER = query("after", "The last answer's `next`.", {"type": "string"})
IDEMPOTENCY_KEY: Parameter = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "A repeat with the same key within 24 hours gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}

_PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class _ReadPlugin(MarshmallowPlugin):
    """Tells of a `Read` field what its own spec says, null included where it may be left out."""

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


@dataclass
class Description:
    """Builds the description of an app once, when it is first asked for."""

    title: str
    version: str
    _built: dict[str, Any] | None = field(default=None, init=False)

    def document(self, app: Flask) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        if self._built is None:
            self._built = self._build(app)
        return self._built

    def _build(self, app: Flask) -> dict[str, Any]:
        spec = APISpec(title=self.title, version=self.version, openapi_version="3.1.0", plugins=[_ReadPlugin()])
        spec.components.security_scheme("site_key", {"type": "http", "scheme": "bearer"})
        spec.components.security_scheme("admin_key", {"type": "http", "scheme": "bearer"})
        spec.components.schema("Problem", schema=ProblemOut)
        paths: dict[str, dict[str, Any]] = {}
        for rule in app.url_map.iter_rules():
            view = app.view_functions[rule.endpoint]
            if getattr(view, "described", None) is None:
                continue
            path = _PATH_PARAMETER.sub(r"{\1}", str(rule))
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                paths.setdefault(path, {})[method.lower()] = _operation(view, _PATH_PARAMETER.findall(str(rule)))
        for path, operations in sorted(paths.items()):
            spec.path(path=path, operations=operations)
        return spec.to_dict()


def _operation(view: Any, names: list[str]) -> dict[str, Any]:
    route: Described = view.described
    demands = getattr(view, "demands", None)
    summary, _, more = (view.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "tags": [route.tag],
        "operationId": view.__name__,
        "summary": summary,
        "parameters": [*(_path_parameter(name) for name in names), *route.parameters],
        "responses": {str(status): _answer(status, given) for status, given in route.gives.items()},
    }
    if more.strip():
        operation["description"] = more.strip()
    statuses = set(route.refuses)
    if names:
        statuses.add(422)
    if route.parameters:
        statuses.add(422)
    if IDEMPOTENCY_KEY in route.parameters:
        statuses.add(409)
    if demands is not None:
        statuses |= {*GUARD_REFUSALS, *STORE_REFUSALS}
        operation["security"] = [{"site_key" if demands == "site" else "admin_key": []}]
    if route.takes is not None:
        statuses |= set(BODY_REFUSALS)
        content = route.takes if isinstance(route.takes, Mapping) else {"application/json": {"schema": route.takes}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    for status in sorted(statuses):
        operation["responses"].setdefault(str(status), _refusal(status))
    return operation


def _path_parameter(name: str) -> Parameter:
    return {"in": "path", "name": name, "required": True, "schema": {"type": "string", "minLength": 1}}


def _answer(status: int, given: type[Schema] | Mapping[str, Any]) -> dict[str, Any]:
    description = {200: "Done.", 201: "Made.", 202: "Taken; it is not done yet."}.get(status, "Answered.")
    if isinstance(given, Mapping):
        return {"description": description, "content": dict(given)}
    return {"description": description, "content": {"application/json": {"schema": given}}}


def _refusal(status: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": STATUSES[status][1], "content": content}
