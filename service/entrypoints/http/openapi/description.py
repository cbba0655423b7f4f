"""`/openapi.json` (apispec): what each route takes, gives and refuses, from its entry in `routes` and its schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import fields

from service.entrypoints.http.openapi.curl import curl_command
from service.entrypoints.http.openapi.examples import Examples, Spec
from service.entrypoints.http.openapi.operations import IN_PATH, RESPONSES
from service.entrypoints.http.routes import IDEMPOTENCY_KEY, PATH_PARAMETER, Answer, RouteDescription
from service.entrypoints.responses.errors import ERRORS, STATUSES
from service.entrypoints.responses.fields import Read, ResponseSchema

BODY_REFUSALS = (400, 413, 415, 422)
GUARD_REFUSALS = (401, 403, 429)
STORE_REFUSALS = (503,)

PROBLEM = "urn:paywall:problem:"
REQUEST_PROBLEMS = ((400, "not-stripe"), (409, "idempotency-key-reused"), (415, "not-csv-type"))
"""Problem types of HTTP itself, which no exception of the domain has."""

CALLERS: Mapping[str, Mapping[str, str]] = {
    "Your website": {"website": "What your site asks and sells. It takes a site key."},
    "Stripe": {"stripe": "What Stripe calls."},
    "Admins": {
        "readers": "Readers: what they hold, links to Stripe, merges, exports, and erasures.",
        "grants": "Access that admins grant, one reader at a time or from a file.",
        "providers": "Subscriptions at other providers than Stripe.",
        "approvals": "Requests that a second admin must approve.",
        "seats": "Seats of group subscriptions.",
        "passes": "Gift links (story passes): each opens one story for everyone who has it.",
        "decisions": "Past decisions, and what is known of stories.",
        "events": "The events that Stripe sent.",
        "overview": "Statistics, and what needs attention.",
        "audit": "Every change that admins made.",
        "keys": "API keys of admins.",
    },
    "Operations": {"service": "Health, metrics, and this description. No key is needed."},
}
"""Who calls → the tags of what they call, in words."""

_KEYS = {
    "site": "Needs a site key.",
    "viewer": "Needs an admin key, with any role.",
    "granter": "Needs an admin key with the role `granter` or `owner`.",
    "owner": "Needs an admin key with the role `owner`.",
}
_SIGNED = "Needs no key, but Stripe's signature."
_CSV = "With `Accept: text/csv`, the answer is a file."
_SECURITY = {
    "site_key": ("http", "A key of your site, from `PAYWALL_SITE_KEYS`."),
    "admin_key": ("http", "A key of an admin, from `PAYWALL_ADMIN_KEYS` or `paywall keys add`. It has a role."),
    "stripe_signature": ("apiKey", "The signature of Stripe, made with a secret of `STRIPE_WEBHOOK_SECRETS`."),
}
_INFO = {
    "summary": "A self-hosted paywall and subscription service for news sites.",
    "description": (
        "Your site asks whether a reader sees the full story or the upsell box. Stripe sends what readers paid. Admins "
        "grant access.\n\nAll times are UTC. Errors are `application/problem+json` (RFC 9457). Ignore fields that you "
        "don't know: later releases add some. The examples use `$PAYWALL` for the address of the service."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}


class FieldErrorOut(ResponseSchema):
    field = fields.String(required=True)
    message = fields.String(required=True)


class ProblemOut(ResponseSchema):
    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorOut), required=True)


def _read_field(_: Any, item: fields.Field[Any], **__: Any) -> Spec:
    """Describe a `Read` field by its own specification; null is a type of one that may be null."""
    if not isinstance(item, Read):
        return {}
    spec = dict(item.metadata)
    if item.allow_none:
        spec["type"] = [spec["type"], "null"]
    return spec


def describe_api(app: Flask, title: str) -> Spec:
    """Return the OpenAPI 3.1 document of an app's routes."""
    plugin = MarshmallowPlugin()
    spec = APISpec(title=title, version="1", openapi_version="3.1.0", plugins=[plugin], info=_INFO)
    assert plugin.converter is not None
    plugin.converter.add_attribute_function(_read_field)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    for name, (kind, words) in _SECURITY.items():
        details = {"scheme": "bearer"} if kind == "http" else {"in": "header", "name": "Stripe-Signature"}
        spec.components.security_scheme(name, {"type": kind, "description": words, **details})
    spec.components.schema("Problem", schema=ProblemOut)
    for status in STATUSES:
        spec.components.response(f"Problem{status}", _refusal(status))
    paths: dict[str, Spec] = {}
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        if not view.described.responses:
            continue
        path = PATH_PARAMETER.sub(r"{\1}", str(rule))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(view, PATH_PARAMETER.findall(str(rule)))
    for path, operations in sorted(paths.items()):
        spec.path(path=path, operations=operations)
    return _completed(spec.to_dict(), {name: key[0] for key, name in plugin.converter.refs.items()})


def problem_types(status: int) -> list[str]:
    """Return the types of the problems with this status, the usual one first."""
    of_requests = [kind for at, kind in REQUEST_PROBLEMS if at == status]
    of_errors = [row.kind for row in ERRORS if row.status == status and row.kind is not None]
    return list(dict.fromkeys([STATUSES[status][0], *of_requests, *of_errors]))


def operations_of(spec: Spec) -> Iterator[tuple[str, str, Spec]]:
    """Yield the path, the method in capitals, and the operation of each route in a description."""
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            yield path, method.upper(), operation


def _completed(spec: Spec, classes: Mapping[str, type]) -> Spec:
    """Return a description with servers and tags, and with words and examples for all that it names."""
    spec["servers"] = [{"url": "/", "description": "The service that serves this description."}]
    spec["tags"] = [{"name": name, "description": words} for tags in CALLERS.values() for name, words in tags.items()]
    spec["x-tagGroups"] = [{"name": caller, "tags": list(tags)} for caller, tags in CALLERS.items()]
    examples = Examples(spec["components"]["schemas"], classes)
    examples.describe_properties()
    for path, method, operation in operations_of(spec):
        examples.describe_operation(operation)
        operation["x-codeSamples"] = [{"lang": "curl", "source": curl_command(method, path, operation)}]
    used = {
        answer["$ref"].rpartition("/")[2]
        for *_, one in operations_of(spec)
        for answer in one["responses"].values()
        if "$ref" in answer
    }
    refusals = spec["components"]["responses"]
    spec["components"]["responses"] = {name: found for name, found in refusals.items() if name in used}
    listed = [f"`{PROBLEM}{kind}` ({status})" for status in STATUSES for kind in problem_types(status)]
    spec["components"]["schemas"]["Problem"]["description"] = f"What is wrong. Types: {', '.join(listed)}."
    return spec


def _operation(view: Any, names: list[str]) -> Spec:
    route: RouteDescription = view.described
    summary, _, more = (view.__doc__ or "").strip().partition("\n")
    more = re.sub(r"\s*\n\s*", " ", more.strip())
    has_csv = any(isinstance(given, Mapping) and "text/csv" in given for given in route.responses.values())
    key = _SIGNED if route.tag == "stripe" else _KEYS.get(view.demands, "Needs no key.")
    operation: Spec = {
        "tags": ["website" if view.demands == "site" else route.tag],
        "operationId": view.__name__,
        "summary": summary,
        "parameters": [*(_path_parameter(name) for name in names), *map(dict, route.parameters)],
        "description": " ".join(part for part in (more, _CSV if has_csv else "", key) if part),
        "responses": {str(status): _answer(view.__name__, given) for status, given in route.responses.items()},
        "security": [],
    }
    statuses = set(route.refuses)
    if names or route.parameters:
        statuses.add(422)
    if IDEMPOTENCY_KEY in route.parameters:
        statuses.add(409)
    if view.demands is not None:
        statuses |= {*GUARD_REFUSALS, *STORE_REFUSALS}
        operation["security"] = [{"site_key" if view.demands == "site" else "admin_key": []}]
    elif route.tag == "stripe":
        operation["security"] = [{"stripe_signature": []}]
    if route.takes is not None:
        statuses |= set(BODY_REFUSALS)
        content = route.takes if isinstance(route.takes, Mapping) else {"application/json": {"schema": route.takes}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    for status in sorted(statuses):
        operation["responses"].setdefault(str(status), f"Problem{status}")
    return operation


def _path_parameter(name: str) -> Spec:
    words, example = IN_PATH.get(name, ("", None))
    schema = {"type": "string", "minLength": 1}
    return {"in": "path", "name": name, "required": True, "description": words, "example": example, "schema": schema}


def _answer(operation: str, given: Answer) -> Spec:
    if isinstance(given, Mapping):
        schema = given.get("application/json", {}).get("schema")
        return {"description": _words(operation, schema), "content": {kind: dict(given[kind]) for kind in given}}
    return {"description": _words(operation, given), "content": {"application/json": {"schema": given}}}


def _words(operation: str, schema: Any) -> str:
    names = [kind.__name__ for kind in schema.__mro__] if isinstance(schema, type) else []
    if names and names[0].endswith("List"):
        return "A page of the list."
    return next((RESPONSES[name] for name in (*names, operation) if name in RESPONSES), "")


def _refusal(status: int) -> Spec:
    kind, title = STATUSES[status]
    types = ", ".join(f"`{PROBLEM}{one}`" for one in problem_types(status))
    example = {"type": f"{PROBLEM}{kind}", "title": title, "status": status, "detail": title, "errors": []}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": f"{title}. `type` is one of: {types}.", "content": content}
