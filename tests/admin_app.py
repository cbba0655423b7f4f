"""Fixtures: an in-process app with three admin keys of the environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import ADMIN_KEY, POLICY, SITE_KEY

ADMINS = f"ann:key-of-ann-in-the-tests,ann:{ADMIN_KEY},ben:key-of-ben-in-the-tests,cyd:key-of-cyd-in-the-tests"
CONFIRM = POLICY + '\n[grants]\nconfirm_above = { readers = 100, length = "90d" }\n'
SECRETS = "secret-of-the-tests-0123456789abcdef"


@dataclass
class Admins:
    """An app with named admins: `ann`, `ben` and `cyd` are owners. Requests are sent with their keys."""

    app: InProcessApp

    def call(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        key = SITE_KEY if who == "site" else f"key-of-{who}-in-the-tests" if who in ("ann", "ben", "cyd") else who
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        if body is not None:
            more |= {"data": json.dumps(body), "content_type": "application/json"}
        more["environ_overrides"] = {"REMOTE_ADDR": "127.0.0.1", **more.get("environ_overrides", {})}
        return self.app.client.open(path, method=method, headers=headers, **more)

    def call_json(
        self, who: str, method: str, path: str, body: Any = None, status: int = 200, **more: Any
    ) -> dict[str, Any]:
        answer = self.call(who, method, path, body, **more)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def grant(self, reader: str, who: str = "ann", status: int = 201, **more: Any) -> dict[str, Any]:
        body = {"plan": "vip", "reason": "press card", "until": None, **more}
        return self.call_json(who, "POST", f"/v1/readers/{reader}/grants", body, status)

    def make_key(self, name: str, role: str) -> str:
        return str(self.call_json("ann", "POST", "/v1/keys", {"name": name, "role": role}, 201)["key"])

    def list_all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Return the items of all pages of a list."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call_json("ann", "GET", path, query_string=query)
            assert set(page) == {"items", "next"}
            found += page["items"]
            if page["next"] is None:
                return found
            query["after"] = page["next"]

    def audit(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call_json("ann", "GET", "/v1/audit", query_string=query)["items"]
        return found


MakeAdmins = Callable[..., Admins]


@pytest.fixture
def make_admins(make_app: MakeApp, store_url: str) -> MakeAdmins:
    """Make apps over the same store, on Valkey and on Redis 8: `make_admins(policy, PAYWALL_SECRETS=…)`."""

    def make(policy: str = POLICY, **env: str) -> Admins:
        return Admins(make_app(store_url, policy, PAYWALL_ADMIN_KEYS=ADMINS, **{"PAYWALL_SECRETS": SECRETS, **env}))

    return make


@pytest.fixture
def admins(make_admins: MakeAdmins) -> Admins:
    return make_admins()


@pytest.fixture
def admins_with_approvals(make_admins: MakeAdmins) -> Admins:
    """Return an app where a second admin confirms grants longer than 90 days."""
    return make_admins(CONFIRM)
