"""Fixtures: the lists as the API answers them, on one server of each kind and on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.in_process_app import Clock, InProcessApp, MakeApp
from tests.running_service import ADMIN_KEY


@dataclass
class Listed:
    """An app and its lists; `settle` brings the index up to date at once."""

    app: InProcessApp

    @property
    def clock(self) -> Clock:
        return self.app.clock

    def settle(self) -> None:
        self.app.service.reader_lists.updates.settle()

    def page(self, path: str, **query: Any) -> Any:
        answer = self.app.call("GET", path, admin=True, query_string=query)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def all(self, path: str, limit: int = 100, **query: Any) -> list[dict[str, Any]]:
        """Return the items of all pages."""
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.page(path, limit=limit, **query, **after)
            found += page["items"]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    def names(self, **query: Any) -> list[str]:
        return [item["reader"] for item in self.all("/v1/readers", **query)]

    def grants(self, **query: Any) -> list[str]:
        return [item["id"] for item in self.all("/v1/grants", **query)]

    def one(self, reader: str) -> dict[str, Any]:
        (found,) = [item for item in self.all("/v1/readers", prefix=reader) if item["reader"] == reader]
        return found


@pytest.fixture
def listed(make_app: MakeApp, store_url: str) -> Listed:
    return Listed(make_app(store_url, PAYWALL_ADMIN_KEYS=f"ann:{ADMIN_KEY}", PAYWALL_SECRETS="s" * 32))
