"""Read error answers: each must be a problem document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from service.entrypoints.responses.errors import STATUSES

if TYPE_CHECKING:
    from tests.running_service import Paywall

JSON = {"Content-Type": "application/json"}


def problem(answer: requests.Response, status: int) -> dict[str, Any]:
    """Return the problem document of an answer, which must have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "private, no-store"
    body: dict[str, Any] = answer.json()
    kind, _title = STATUSES[status]
    assert body["type"].startswith("urn:paywall:problem:")
    assert body["status"] == status
    assert kind
    assert isinstance(body["title"], str)
    assert isinstance(body["detail"], str)
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    for error in body["errors"]:
        assert set(error) == {"field", "message"}
    return body


def fields(answer: requests.Response) -> list[str]:
    return [error["field"] for error in problem(answer, 422)["errors"]]


def send(paywall: Paywall, body: bytes | str, path: str = "/v1/access", **headers: str) -> requests.Response:
    content = body if isinstance(body, bytes) else body.encode()
    return requests.post(paywall.url + path, data=content, headers={**paywall.as_site, **JSON, **headers}, timeout=60)
