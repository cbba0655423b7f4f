"""Test requests without a body."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp


def test_admin_request_without_body_is_422_with_missing_fields(valkey_app: InProcessApp) -> None:
    grant = valkey_app.grant("r", until=None)["id"]
    for method, path, missing in [
        ("POST", "/v1/readers/r/grants", ["reason", "until"]),
        ("PATCH", f"/v1/readers/r/grants/{grant}", ["reason", "until"]),
        ("DELETE", f"/v1/readers/r/grants/{grant}", ["reason"]),
        ("POST", "/v1/keys", ["name", "role"]),
        ("POST", "/v1/readers/r/merge", ["from"]),
    ]:
        answer = valkey_app.call(method, path, admin=True)
        assert answer.status_code == 422, answer.text
        assert set(missing) <= {error["field"] for error in answer.get_json()["errors"]}
        assert valkey_app.call(method, path, admin=True, data=b"{}", content_type="text/plain").status_code == 415
        assert valkey_app.call(method, path, admin=True, data=b"{}").status_code == 415
    assert valkey_app.call("POST", "/v1/access").status_code == 415
