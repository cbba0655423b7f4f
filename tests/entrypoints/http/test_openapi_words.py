"""Test that `/openapi.json` describes everything that it names, with examples that are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from marshmallow import class_registry
from werkzeug.test import Client

from service.bootstrap import build
from service.entrypoints.http.openapi.description import (
    CALLERS,
    PROBLEM,
    REQUEST_PROBLEMS,
    operations_of,
    problem_types,
)
from service.entrypoints.http.openapi.examples import PROPERTIES
from service.entrypoints.http.openapi.operations import BODIES, EXAMPLES, IN_PATH, OUTCOMES, RESPONSES
from service.entrypoints.http.wsgi import web
from service.entrypoints.responses.errors import STATUSES
from service.settings.settings import load_settings

ROOT = Path(__file__).parents[3]
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> Flask:
    return web(build(load_settings({"PAYWALL_CONFIG": str(ROOT / "config")}), "redis://127.0.0.1:1")).flask


@pytest.fixture(scope="module")
def spec(app: Flask) -> Spec:
    found: Spec = Client(app).get("/openapi.json").get_json()
    return found


def test_openapi_description_lists_every_route_and_its_key(spec: Spec, app: Flask) -> None:
    assert spec["openapi"].startswith("3.1")
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))
        if path == "/docs.css" or rule.endpoint == "static":
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = spec["paths"][path][method.lower()]
            view: Any = app.view_functions[rule.endpoint]
            demand = view.demands
            scheme = None if demand is None else "site_key" if demand == "site" else "admin_key"
            if path == "/v1/stripe/webhook":
                scheme = "stripe_signature"
            assert operation["security"] == ([] if scheme is None else [{scheme: []}])
            assert operation["summary"]
            if demand is not None:
                assert {"401", "403"} <= set(operation["responses"])


def properties(spec: Spec) -> Iterator[tuple[str, str, Spec]]:
    for schema, described in spec["components"]["schemas"].items():
        for name, item in described.get("properties", {}).items():
            yield schema, name, item


def test_every_property_has_a_description_and_an_example(spec: Spec) -> None:
    """A new property needs a line in the module of `openapi/` that is named after its schema's."""
    lacking = [
        f"{schema}.{name}" for schema, name, item in properties(spec) if not {"description", "example"} <= {*item}
    ]
    assert lacking == []


def test_every_parameter_has_a_description_and_an_example(spec: Spec) -> None:
    for path, method, operation in operations_of(spec):
        for parameter in operation["parameters"]:
            assert parameter.get("description"), f"{method} {path}: {parameter['name']}"
            assert parameter.get("example") is not None, f"{method} {path}: {parameter['name']}"


def test_every_operation_and_every_answer_is_described_with_an_example(spec: Spec) -> None:
    used = set()
    for path, method, operation in operations_of(spec):
        assert operation["summary"].endswith("."), f"{method} {path}"
        assert len(operation["summary"].split()) <= 30, f"{method} {path}"
        used.add(operation["tags"][0])
        for status, answer in operation["responses"].items():
            described = spec["components"]["responses"].get(answer.get("$ref", "").rpartition("/")[2], answer)
            assert described["description"], f"{method} {path}: {status}"
            for kind, content in described["content"].items():
                assert "example" in content, f"{method} {path}: {status} {kind}"
    assert used == {tag for tags in CALLERS.values() for tag in tags}


def test_every_example_is_valid_by_its_schema(spec: Spec) -> None:
    def check(name: str, schema: Spec, example: Any) -> None:
        found = [
            error.message
            for error in Draft202012Validator({**schema, "components": spec["components"]}).iter_errors(example)
        ]
        assert found == [], f"{name}: {example}"

    for schema, name, item in properties(spec):
        check(f"{schema}.{name}", item, item["example"])
    for path, method, operation in operations_of(spec):
        for parameter in operation["parameters"]:
            check(f"{method} {path} {parameter['name']}", parameter["schema"], parameter["example"])
        for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in holder.get("content", {}).values():
                check(f"{method} {path}", content["schema"], content["example"])


def test_descriptions_are_sentences_without_internal_words(spec: Spec) -> None:
    texts = [item["description"] for _, _, item in properties(spec)]
    texts += [parameter["description"] for *_, one in operations_of(spec) for parameter in one["parameters"]]
    assert [text for text in texts if not text.endswith((".", "`"))] == []
    assert [text for text in texts if len(text.split()) > 30] == []


def has_field(schema: str, name: str) -> bool:
    """Return whether a schema has a field of this name; `Problem` is described by `ProblemOut`."""
    kind: Any = class_registry.get_class("ProblemOut" if schema == "Problem" else schema)
    return name in {item.data_key or key for key, item in kind().fields.items()}


def test_no_words_are_left_over(spec: Spec) -> None:
    named = {name for _, name, _ in properties(spec)}
    by_schema = {key for key in PROPERTIES if "." in key}
    assert sorted(set(PROPERTIES) - named - by_schema) == []
    assert [key for key in sorted(by_schema) if not has_field(*key.split("."))] == []
    parameters = {parameter["name"] for *_, one in operations_of(spec) for parameter in one["parameters"]}
    assert sorted({*IN_PATH, *EXAMPLES} - parameters) == []
    known = {one["operationId"] for *_, one in operations_of(spec)}
    for name in {*RESPONSES, *BODIES, *OUTCOMES} - known:
        assert class_registry.get_class(name), name


def test_every_problem_type_is_listed(spec: Spec) -> None:
    sources = [path.read_text() for path in (ROOT / "service" / "entrypoints" / "http").rglob("*.py")]
    of_requests = {kind for text in sources for kind in re.findall(r'kind="((?:not|idem)[a-z-]+)"', text)}
    assert {kind for _, kind in REQUEST_PROBLEMS} == of_requests
    listed = spec["components"]["schemas"]["Problem"]["description"]
    for status in STATUSES:
        assert all(f"`{PROBLEM}{kind}` ({status})" in listed for kind in problem_types(status))


def test_servers_and_license_are_named(spec: Spec) -> None:
    assert spec["servers"]
    assert spec["info"]["license"]["identifier"] == "MIT"
