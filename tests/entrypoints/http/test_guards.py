"""Test that every route has a guard and a description, and that permission is checked first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from service.domain.roles import RANKS

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

OPEN = {
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs.css",
    "/.well-known/jwks.json",
    "/v1/stripe/webhook",  # signed by Stripe instead
}
WEBSITE = {
    "/v1/access",
    "/v1/access/batch",
    "/v1/checkout",
    "/v1/checkout/returned",
    "/v1/portal",
    "/v1/gifts",
    "/v1/gifts/<reader>",
    "/v1/groups",
    "/v1/groups/<subscription>/seats/<reader>",
    "/v1/groups/<subscription>/invites",
    "/v1/groups/<subscription>/invites/<invite_id>",
    "/v1/invites/accept",
    "/v1/readers/<reader>/summary",
}


@pytest.fixture
def app(valkey_app: InProcessApp) -> Flask:
    found: Any = valkey_app.client.application
    flask: Flask = found.web.flask
    return flask


def rules(app: Flask) -> list[tuple[str, Any]]:
    return [
        (str(rule), app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules() if rule.endpoint != "static"
    ]


def test_no_static_files_are_served(app: Flask) -> None:
    assert "/static/<path:filename>" not in [str(rule) for rule in app.url_map.iter_rules()]


def test_every_route_has_the_right_guard(app: Flask) -> None:
    for path, view in rules(app):
        assert hasattr(view, "demands"), f"{path} says not who may"
        if view.demands is None:
            assert path in OPEN, f"{path} is open to all"
        elif view.demands == "site":
            assert path in WEBSITE, f"{path} takes a site key"
        else:
            assert path.startswith("/v1/")
            assert path not in WEBSITE


def test_every_changing_route_needs_more_than_viewer(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        demand = getattr(app.view_functions[rule.endpoint], "demands", None)
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"} and demand not in (None, "site"):
            assert RANKS[demand] >= RANKS["granter"], str(rule)


def test_every_route_is_described(app: Flask) -> None:
    for path, view in rules(app):
        if path == "/docs.css":
            continue
        assert getattr(view, "described", None) is not None, f"{path} is not described"
        assert (view.__doc__ or "").strip(), f"{path} has no summary"


def test_openapi_description_lists_every_route_and_its_key(valkey_app: InProcessApp, app: Flask) -> None:
    body = valkey_app.client.get("/openapi.json").get_json()
    assert body["openapi"].startswith("3.1")
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))
        if path == "/docs.css" or rule.endpoint == "static":
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = body["paths"][path][method.lower()]
            view: Any = app.view_functions[rule.endpoint]
            demand = view.demands
            scheme = None if demand is None else "site_key" if demand == "site" else "admin_key"
            if path == "/v1/stripe/webhook":
                scheme = "stripe_signature"
            assert operation["security"] == ([] if scheme is None else [{scheme: []}])
            assert operation["summary"]
            if demand is not None:
                assert {"401", "403"} <= set(operation["responses"])


BODIES: list[dict[str, Any]] = [{}, {"data": b"{", "content_type": "text/plain"}, {"data": b"x" * 1_000_000}]
ADMIN_ROUTES = [
    ("GET", "/v1/readers/r"),
    ("GET", "/v1/readers/r?at=nonsense"),
    ("GET", "/v1/readers/%00"),
    ("GET", "/v1/readers/%FF"),
    ("GET", "/v1/readers/" + "a" * 129),
    ("GET", "/v1/readers/a%2Fb"),
    ("POST", "/v1/readers/r/grants"),
    ("POST", "/v1/readers/%00/grants"),
    ("PATCH", "/v1/readers/r/grants/none"),
    ("DELETE", "/v1/readers/r/grants/none"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_site_key_on_an_admin_route_is_403_before_validation(valkey_app: InProcessApp, method: str, path: str) -> None:
    for more in BODIES:
        answer = valkey_app.call(method, path, **more)
        assert answer.status_code == 403
        assert answer.content_type == "application/problem+json"
        assert valkey_app.client.open(path, method=method, **more).status_code == 401


@pytest.mark.parametrize("path", sorted(path for path in WEBSITE if "<" not in path))
def test_admin_key_on_a_website_route_is_403_before_validation(valkey_app: InProcessApp, path: str) -> None:
    method = "GET" if path == "/v1/groups" else "POST"
    for more in BODIES:
        for hot in (True, False):
            answer = valkey_app.call(method, path, admin=True, hot=hot, **more)
            assert answer.status_code == 403
            assert answer.content_type == "application/problem+json"
