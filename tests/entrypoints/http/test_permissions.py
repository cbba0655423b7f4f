"""Test the permission of every route for every role. A route without a row fails the test."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from werkzeug.test import TestResponse

from tests.admin_app import Admins
from tests.in_process_app import InProcessApp
from tests.rsgi_bridge import Bridge

Demand = Literal["everybody", "site", "viewer", "granter", "owner"]

RIGHTS: dict[tuple[str, str], Demand] = {
    ("GET", "/"): "everybody",
    ("GET", "/healthz"): "everybody",
    ("GET", "/readyz"): "everybody",
    ("GET", "/metrics"): "everybody",
    ("GET", "/openapi.json"): "everybody",
    ("GET", "/docs"): "everybody",
    ("GET", "/docs.css"): "everybody",
    ("GET", "/.well-known/jwks.json"): "everybody",
    ("POST", "/v1/stripe/webhook"): "everybody",  # Stripe signs its requests and has no key of the service
    ("POST", "/v1/access"): "site",
    ("POST", "/v1/access/batch"): "site",
    ("POST", "/v1/checkout"): "site",
    ("POST", "/v1/checkout/returned"): "site",
    ("POST", "/v1/portal"): "site",
    ("POST", "/v1/gifts"): "site",
    ("GET", "/v1/gifts/<reader>"): "site",
    ("GET", "/v1/groups"): "site",
    ("PUT", "/v1/groups/<subscription>/seats/<reader>"): "site",
    ("DELETE", "/v1/groups/<subscription>/seats/<reader>"): "site",
    ("POST", "/v1/groups/<subscription>/invites"): "site",
    ("DELETE", "/v1/groups/<subscription>/invites/<invite_id>"): "site",
    ("POST", "/v1/invites/accept"): "site",
    ("GET", "/v1/readers"): "viewer",
    ("GET", "/v1/grants"): "viewer",
    ("GET", "/v1/readers/<reader>"): "viewer",
    ("GET", "/v1/readers/<reader>/summary"): "site",
    ("GET", "/v1/readers/<reader>/export"): "owner",
    ("DELETE", "/v1/readers/<reader>"): "owner",
    ("POST", "/v1/readers/<reader>/grants"): "granter",
    ("PATCH", "/v1/readers/<reader>/grants/<grant>"): "granter",
    ("DELETE", "/v1/readers/<reader>/grants/<grant>"): "granter",
    ("POST", "/v1/grants/import"): "granter",
    ("GET", "/v1/grants/import/<import_id>"): "viewer",
    ("DELETE", "/v1/grants/import/<import_id>"): "granter",
    ("POST", "/v1/grants/changes"): "granter",
    ("GET", "/v1/grants/changes/<import_id>"): "viewer",
    ("DELETE", "/v1/grants/changes/<import_id>"): "granter",
    ("POST", "/v1/links/import"): "granter",
    ("GET", "/v1/links/import/<import_id>"): "viewer",
    ("DELETE", "/v1/links/import/<import_id>"): "granter",
    ("POST", "/v1/readers/<reader>/links"): "granter",
    ("DELETE", "/v1/readers/<reader>/links"): "granter",
    ("POST", "/v1/readers/<reader>/merge"): "owner",
    ("GET", "/v1/subscriptions/<subscription>/seats"): "viewer",
    ("PUT", "/v1/subscriptions/<subscription>/seats/<reader>"): "granter",
    ("DELETE", "/v1/subscriptions/<subscription>/seats/<reader>"): "granter",
    ("GET", "/v1/events"): "viewer",
    ("GET", "/v1/events/<event>"): "viewer",
    ("POST", "/v1/events/<event>/replay"): "owner",
    ("GET", "/v1/activity"): "viewer",
    ("GET", "/v1/attention"): "viewer",
    ("GET", "/v1/comparisons"): "viewer",
    ("GET", "/v1/comparisons/summary"): "viewer",
    ("GET", "/v1/audit"): "viewer",
    ("GET", "/v1/decisions/<decision>"): "viewer",
    ("GET", "/v1/stories/<any_id:story>"): "viewer",
    ("PUT", "/v1/readers/<reader>/external/<provider>/<any_id:external_id>"): "granter",
    ("DELETE", "/v1/readers/<reader>/external/<provider>/<any_id:external_id>"): "granter",
    ("PUT", "/v1/providers/<provider>/snapshot"): "granter",
    ("GET", "/v1/providers/<provider>/snapshot/<import_id>"): "viewer",
    ("GET", "/v1/keys"): "viewer",
    ("POST", "/v1/keys"): "owner",
    ("DELETE", "/v1/keys/<name>"): "owner",
    ("GET", "/v1/approvals"): "viewer",
    ("POST", "/v1/approvals/<approval>"): "granter",
    ("DELETE", "/v1/approvals/<approval>"): "granter",
    ("GET", "/v1/passes"): "viewer",
    ("POST", "/v1/passes"): "granter",
    ("GET", "/v1/passes/<story_pass>"): "viewer",
    ("DELETE", "/v1/passes/<story_pass>"): "granter",
}
"""Who may call a route: a key of this role, or of a higher one. The names in a path are not compared."""

ROLES = ("none", "wrong", "site", "viewer", "granter", "owner")

ALLOWED: dict[Demand, frozenset[str]] = {
    "everybody": frozenset(ROLES),
    "site": frozenset({"site"}),
    "viewer": frozenset({"viewer", "granter", "owner"}),
    "granter": frozenset({"granter", "owner"}),
    "owner": frozenset({"owner"}),
}

BODIES: list[dict[str, Any]] = [{}, {"data": b"{", "content_type": "text/plain"}, {"data": b"x" * 1_000_000}]

Call = tuple[str, str]


def shape(rule: str) -> str:
    return re.sub(r"<[^>]*>", "<>", rule)


def routes(admins: Admins) -> dict[Call, str]:
    """Return every method and rule of the app, with the role that its view demands."""
    bridge = admins.app.client.application
    assert isinstance(bridge, Bridge)
    app = bridge.web.flask
    return {
        (method, rule.rule): getattr(app.view_functions[rule.endpoint], "demands", None) or "everybody"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@pytest.fixture
def keys(admins: Admins) -> dict[str, str]:
    """Return a key of each role; the admin keys are made at run time."""
    return {"none": "", "wrong": "no-key-of-ours", "site": "site"} | {
        role: admins.make_key(f"the-{role}", role) for role in ("viewer", "granter", "owner")
    }


def rights() -> dict[Call, Demand]:
    return {(method, shape(rule)): demand for (method, rule), demand in RIGHTS.items()}


def test_every_route_has_a_row(admins: Admins) -> None:
    table = rights()
    assert [call for call in routes(admins) if (call[0], shape(call[1])) not in table] == []


def test_every_route_and_role_follows_the_table(admins: Admins, keys: dict[str, str]) -> None:
    table, wrong = rights(), []
    for place, (method, rule) in enumerate(routes(admins)):
        demand = table[method, shape(rule)]
        for role in ROLES:
            status = called(admins, method, rule, keys[role], f"192.0.2.{place}")
            expected = "through" if role in ALLOWED[demand] else 401 if role in ("none", "wrong") else 403
            if (status if status in (401, 403) else "through") != expected:
                wrong.append((method, rule, role, status))
    assert wrong == []


def test_permission_is_checked_before_a_slash_in_a_reader_id(admins: Admins, keys: dict[str, str]) -> None:
    table, wrong = rights(), []
    of_readers = [call for call in routes(admins) if "<reader>" in call[1]]
    assert len(of_readers) > 8
    for method, rule in of_readers:
        demand = table[method, shape(rule)]
        for role in ("site", "viewer", "granter", "owner"):
            status = called(admins, method, rule.replace("<reader>", "a%2Fb"), keys[role], "192.0.2.1")
            if status != (422 if role in ALLOWED[demand] else 403):
                wrong.append((method, rule, role, status))
    assert wrong == []


def test_permission_is_checked_before_a_slash_in_any_other_name(admins: Admins, keys: dict[str, str]) -> None:
    table, wrong = rights(), []
    named = [call for call in routes(admins) if re.search("/v1/.*<", call[1]) and "<reader>" not in call[1]]
    assert len(named) > 10
    for method, rule in named:
        demand = table[method, shape(rule)]
        for role in ("none", "site", "viewer", "granter", "owner"):
            status = called(admins, method, re.sub("<[^>]*>", "a%2Fb", rule), keys[role], "192.0.2.1")
            if status != (404 if role in ALLOWED[demand] else 401 if role == "none" else 403):
                wrong.append((method, rule, role, status))
    assert wrong == []


def called(admins: Admins, method: str, rule: str, key: str, address: str) -> int:
    """Return the status for an invalid path, body and content type: permission is checked before them."""
    path = re.sub(r"<path:[^>]*>", "nothing", rule)
    path = re.sub(r"<[^>]*>", "%20wrong", path)
    more: dict[str, Any] = {"environ_overrides": {"REMOTE_ADDR": address}}
    if method != "GET":
        more |= {"data": b"{", "content_type": "text/plain"}
    if not key:
        return admins.app.client.open(path, method=method, **more).status_code
    return admins.call(key, method, path, **more).status_code


def test_views_demand_what_the_table_says(admins: Admins) -> None:
    table = rights()
    assert {
        call: demand
        for call, demand in routes(admins).items()
        if table.get((call[0], shape(call[1])), demand) != demand
    } == {}


def test_every_row_has_a_route(admins: Admins) -> None:
    there = {(method, shape(rule)) for method, rule in routes(admins)}
    assert [call for call in RIGHTS if (call[0], shape(call[1])) not in there] == []


def test_changing_routes_of_the_table_need_more_than_a_viewer() -> None:
    assert [call for call, demand in RIGHTS.items() if call[0] != "GET" and demand == "viewer"] == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/access"), ("POST", "/v1/access/batch"), ("GET", "/v1/groups")]
)
def test_admin_key_on_a_website_route_is_403_whatever_the_body(
    valkey_app: InProcessApp, method: str, path: str
) -> None:
    for more in BODIES:
        for hot in (True, False):
            answer = valkey_app.call(method, path, admin=True, hot=hot, **more)
            assert (answer.status_code, answer.content_type) == (403, "application/problem+json")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_site_key_on_an_admin_route_is_403_whatever_the_body(valkey_app: InProcessApp, method: str) -> None:
    for more in BODIES:
        answer = valkey_app.call(method, "/v1/readers/r/grants" if method == "POST" else "/v1/readers/r", **more)
        assert (answer.status_code, answer.content_type) == (403, "application/problem+json")


def test_wrong_keys_are_rate_limited_and_right_ones_never(admins: Admins) -> None:
    """No key, and the key of another role, are not wrong keys."""
    check = {"story": {"id": "s"}}

    def call(who: str, method: str, path: str, address: str = "192.0.2.7") -> TestResponse:
        body = check if method == "POST" else None
        return admins.call(who, method, path, body, environ_overrides={"REMOTE_ADDR": address})

    def others() -> list[int]:
        flask = admins.app.call("POST", "/v1/access", check, hot=False, environ_base={"REMOTE_ADDR": "192.0.2.7"})
        none = admins.app.client.get("/v1/audit", environ_base={"REMOTE_ADDR": "192.0.2.7"})
        called = [("site", "POST", "/v1/access"), ("ann", "GET", "/v1/audit"), ("site", "GET", "/v1/audit")]
        return [call(*each).status_code for each in called] + [flask.status_code, none.status_code]

    for number in range(29):
        assert call("wrong-key", "POST", "/v1/access").status_code == 401, number
        assert others() == [200, 200, 403, 200, 401]
    for method, path in [("POST", "/v1/access"), ("GET", "/v1/audit"), ("GET", "/v1/audit")]:
        answer = call("wrong-key", method, path)
        assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
        assert answer.headers["Retry-After"] == "60"
        assert others() == [200, 200, 403, 200, 401]
    assert call("wrong-key", "POST", "/v1/access", "192.0.2.8").status_code == 401
