"""The role that each route of the pages requires. What a role may not do is refused and not shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from service.domain.roles import RANKS
from tests.entrypoints.http.admin.conftest import MakeStaff, Staff, granted
from tests.in_process_app import InProcessApp

RequiredRole = Literal["everyone", "viewer", "granter", "owner"]

REQUIRED_ROLES: dict[tuple[str, str], RequiredRole] = {
    ("GET", "/sign-in"): "everyone",
    ("POST", "/sign-in"): "everyone",
    ("GET", "/sign-in/link"): "everyone",
    ("GET", "/sign-in/begin"): "everyone",
    ("GET", "/sign-in/return"): "everyone",
    ("GET", "/static/<digest>/<name>"): "everyone",
    ("POST", "/sign-out"): "viewer",
    ("POST", "/sign-out-everywhere"): "viewer",
    ("GET", "/"): "viewer",
    ("GET", "/plots/<name>.csv"): "viewer",
    ("GET", "/readers"): "viewer",
    ("GET", "/readers/table"): "viewer",
    ("GET", "/readers/table.csv"): "viewer",
    ("GET", "/grants"): "viewer",
    ("GET", "/grants.csv"): "viewer",
    ("POST", "/grants/change"): "granter",
    ("GET", "/reader"): "viewer",
    ("GET", "/why"): "viewer",
    ("GET", "/decision"): "viewer",
    ("POST", "/reader/grant"): "granter",
    ("POST", "/reader/extend"): "granter",
    ("POST", "/reader/revoke"): "granter",
    ("POST", "/reader/link"): "granter",
    ("POST", "/reader/unlink"): "granter",
    ("GET", "/reader/merge"): "owner",
    ("POST", "/reader/merge"): "owner",
    ("GET", "/reader/export"): "owner",
    ("POST", "/reader/erase"): "owner",
    ("GET", "/comparisons"): "viewer",
    ("GET", "/comparisons/<name>.csv"): "viewer",
    ("GET", "/seats"): "viewer",
    ("POST", "/seats/give"): "granter",
    ("POST", "/seats/take"): "granter",
    ("GET", "/imports"): "granter",
    ("POST", "/imports"): "granter",
    ("GET", "/import"): "viewer",
    ("POST", "/import/undo"): "granter",
    ("GET", "/approvals"): "viewer",
    ("POST", "/approvals/confirm"): "granter",
    ("POST", "/approvals/refuse"): "granter",
    ("GET", "/passes"): "viewer",
    ("POST", "/passes"): "granter",
    ("GET", "/pass"): "viewer",
    ("POST", "/pass/revoke"): "granter",
    ("GET", "/events"): "viewer",
    ("GET", "/event"): "viewer",
    ("POST", "/event/replay"): "owner",
    ("GET", "/audit"): "viewer",
    ("GET", "/audit.csv"): "viewer",
    ("GET", "/keys"): "viewer",
    ("POST", "/keys"): "owner",
    ("POST", "/keys/end"): "owner",
    ("GET", "/system"): "viewer",
    ("GET", "/system/<name>.csv"): "viewer",
}
"""Route → the lowest role that may use it."""


@pytest.fixture
def page(admin_app: InProcessApp) -> Flask:
    hot: Any = admin_app.client.application
    mounted: Any = hot.web.flask.wsgi_app
    assert isinstance(mounted, DispatcherMiddleware)
    found = mounted.mounts["/admin"]
    assert isinstance(found, Flask)
    return found


def calls(page: Flask) -> Iterable[tuple[str, str, Any]]:
    for rule in page.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule, page.view_functions[rule.endpoint]


def test_every_route_requires_the_role_in_the_table(page: Flask) -> None:
    found = {(method, path): view.demands or "everyone" for method, path, view in calls(page)}
    assert found == REQUIRED_ROLES


def test_routes_that_change_something_need_more_than_viewer(page: Flask) -> None:
    own = {"/sign-in", "/sign-out", "/sign-out-everywhere"}
    for method, path, view in calls(page):
        if method != "GET" and path not in own:
            assert RANKS[view.demands] >= RANKS["granter"], path


def asked(someone: Staff, method: str, path: str) -> int:
    address = path.replace("<digest>", "none").replace("<name>", "none")
    return (someone.get(address) if method == "GET" else someone.post(address)).status_code


def test_every_route_refuses_lower_roles(staff: MakeStaff) -> None:
    people = {role: staff(role) for role in ("viewer", "granter", "owner")}
    wrong = []
    for (method, path), role_needed in REQUIRED_ROLES.items():
        if role_needed == "everyone" or path.startswith("/sign-out"):
            continue
        for role, someone in people.items():
            refused = asked(someone, method, path) == 403
            if refused != (RANKS[role] < RANKS[role_needed]):  # type: ignore[index]  # the three are roles
                wrong.append((method, path, role))
    assert wrong == []


def test_every_route_without_session_is_refused(admin_app: InProcessApp) -> None:
    for (method, path), role_needed in REQUIRED_ROLES.items():
        if role_needed != "everyone":
            stranger = Staff.of(admin_app)
            assert asked(stranger, method, path) == (303 if method == "GET" else 401), path


def test_every_form_without_token_is_refused(staff: MakeStaff) -> None:
    someone = staff()
    for method, path in REQUIRED_ROLES:
        if method == "POST":
            assert someone.post(path, token="").status_code == 403, path


SHOWN: list[tuple[str, str, str]] = [
    ("/reader?id=r-1", "Grant access", "granter"),
    ("/reader?id=r-1", "Link Stripe customer", "granter"),
    ("/reader?id=r-1", "Merge another reader", "owner"),
    ("/reader?id=r-1", "Permanently delete", "owner"),
    ("/reader?id=r-1", "Change expiry date", "granter"),
    ("/reader?id=r-1", "Revoke grant", "granter"),
    ("/passes", "Create gift link", "granter"),
    ("/keys", "Create API key", "owner"),
    ("/keys", "Revoke key", "owner"),
]


def test_actions_are_shown_only_to_roles_that_may_do_them(staff: MakeStaff, admin_app: InProcessApp) -> None:
    granted(admin_app, "r-1")
    people = {role: staff(role) for role in ("viewer", "granter", "owner")}
    for path, words, least in SHOWN:
        for role, someone in people.items():
            shown = words in someone.get(path).text
            assert shown == (RANKS[role] >= RANKS[least]), (path, words, role)  # type: ignore[index]  # likewise


def test_menu_shows_only_pages_of_the_role(staff: MakeStaff) -> None:
    assert "/admin/imports" not in staff("viewer").get("/readers").text
    assert "/admin/imports" in staff("granter").get("/readers").text
