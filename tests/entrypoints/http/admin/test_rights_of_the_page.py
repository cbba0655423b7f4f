"""Every route of the page and every role, as a table; what a role may not do is refused, and is not shown either."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from service.domain.roles import RANKS
from tests.entrypoints.http.admin.conftest import MakeStaff, Staff, granted
from tests.within import DeskApp

Demand = Literal["everybody", "viewer", "granter", "owner"]

RIGHTS: dict[tuple[str, str], Demand] = {
    ("GET", "/sign-in"): "everybody",
    ("POST", "/sign-in"): "everybody",
    ("GET", "/sign-in/begin"): "everybody",
    ("GET", "/sign-in/return"): "everybody",
    ("GET", "/static/<mark>/<name>"): "everybody",
    ("POST", "/sign-out"): "viewer",
    ("POST", "/sign-out-everywhere"): "viewer",
    ("GET", "/"): "viewer",
    ("GET", "/plots/<name>.csv"): "viewer",
    ("GET", "/readers"): "viewer",
    ("GET", "/reader"): "viewer",
    ("GET", "/why"): "viewer",
    ("GET", "/decision"): "viewer",
    ("POST", "/reader/grant"): "granter",
    ("POST", "/reader/extend"): "granter",
    ("POST", "/reader/revoke"): "granter",
    ("POST", "/reader/link"): "granter",
    ("GET", "/reader/merge"): "owner",
    ("POST", "/reader/merge"): "owner",
    ("GET", "/reader/export"): "owner",
    ("POST", "/reader/erase"): "owner",
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
}
"""Who may ask for a route: who is signed in with this role or a higher one; as the API's table has it."""


@pytest.fixture
def page(admin_desk: DeskApp) -> Flask:
    hot: Any = admin_desk.client.application
    mounted: Any = hot._app.wsgi_app
    assert isinstance(mounted, DispatcherMiddleware)
    found = mounted.mounts["/admin"]
    assert isinstance(found, Flask)
    return found


def calls(page: Flask) -> Iterable[tuple[str, str, Any]]:
    for rule in page.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule, page.view_functions[rule.endpoint]


def test_every_route_has_a_row_and_demands_what_it_says(page: Flask) -> None:
    found = {(method, path): view.needs or "everybody" for method, path, view in calls(page)}
    assert found == RIGHTS


def test_what_changes_something_needs_more_than_a_viewer(page: Flask) -> None:
    own = {"/sign-in", "/sign-out", "/sign-out-everywhere"}
    for method, path, view in calls(page):
        if method != "GET" and path not in own:
            assert RANKS[view.needs] >= RANKS["granter"], path


def asked(someone: Staff, method: str, path: str) -> int:
    address = path.replace("<mark>", "none").replace("<name>", "none")
    return (someone.get(address) if method == "GET" else someone.post(address)).status_code


def test_every_route_and_every_role(staff: MakeStaff) -> None:
    people = {role: staff(role) for role in ("viewer", "granter", "owner")}
    wrong = []
    for (method, path), demand in RIGHTS.items():
        if demand == "everybody" or path.startswith("/sign-out"):
            continue
        for role, someone in people.items():
            refused = asked(someone, method, path) == 403
            if refused != (RANKS[role] < RANKS[demand]):  # type: ignore[index]  # the three are roles
                wrong.append((method, path, role))
    assert wrong == []


def test_nobody_gets_in_unsigned(admin_desk: DeskApp) -> None:
    for (method, path), demand in RIGHTS.items():
        if demand != "everybody":
            stranger = Staff(Client(admin_desk.client.application))
            assert asked(stranger, method, path) == (303 if method == "GET" else 401), path


def test_every_form_without_a_token_is_refused(staff: MakeStaff) -> None:
    someone = staff()
    for method, path in RIGHTS:
        if method == "POST":
            assert someone.post(path, token="").status_code == 403, path


SHOWN: list[tuple[str, str, str]] = [
    ("/reader?id=r-1", "Give access", "granter"),
    ("/reader?id=r-1", "Link a Stripe customer", "granter"),
    ("/reader?id=r-1", "Merge another reader", "owner"),
    ("/reader?id=r-1", "Erase her for good", "owner"),
    ("/reader?id=r-1", "Change the end", "granter"),
    ("/reader?id=r-1", "Revoke now", "granter"),
    ("/passes", "Make a pass", "granter"),
    ("/keys", "Make a key", "owner"),
    ("/keys", "End it now", "owner"),
]


def test_what_a_role_may_not_do_is_not_shown(staff: MakeStaff, admin_desk: DeskApp) -> None:
    granted(admin_desk, "r-1")
    people = {role: staff(role) for role in ("viewer", "granter", "owner")}
    for path, words, least in SHOWN:
        for role, someone in people.items():
            shown = words in someone.get(path).text
            assert shown == (RANKS[role] >= RANKS[least]), (path, words, role)  # type: ignore[index]  # likewise


def test_what_a_viewer_may_not_is_not_in_the_menu_either(staff: MakeStaff) -> None:
    assert "/admin/imports" not in staff("viewer").get("/readers").text
    assert "/admin/imports" in staff("granter").get("/readers").text
