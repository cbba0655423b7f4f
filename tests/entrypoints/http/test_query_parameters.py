"""Test query parameters: unknown and repeated ones are 422."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

MOMENT = "2082-12-01T00:00:00Z"


@pytest.mark.parametrize(
    ("method", "path", "name", "value"),
    [
        ("GET", "/v1/readers/r", "at", MOMENT),
        ("DELETE", "/v1/readers/r", "reason", "she asked"),
        ("DELETE", "/v1/readers/r", "force", "true"),
        ("DELETE", "/v1/readers/r/grants/g", "reason", "over"),
        ("POST", "/v1/grants/import", "dry_run", "true"),
        ("GET", "/v1/activity", "days", "7"),
        ("GET", "/v1/audit", "limit", "7"),
        ("GET", "/v1/attention", "days", "7"),
    ],
)
def test_repeated_or_unknown_query_parameter_is_422(
    valkey_app: InProcessApp, method: str, path: str, name: str, value: str
) -> None:
    for query in (f"{name}={value}&{name}={value}", f"{name}={value}&{name}=", "when=now"):
        answer = valkey_app.call(method, f"{path}?{query}", admin=True, data=b"", content_type="text/csv")
        assert answer.status_code == 422, (query, answer.text)
        assert [error["field"] for error in answer.get_json()["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "moment", [MOMENT, "2082-12-01t00:00:00z", "2082-12-01T01:00:00.5%2B01:00", "20821201T000000Z"]
)
def test_time_in_iso_8601_or_rfc_3339_is_accepted(valkey_app: InProcessApp, moment: str) -> None:
    valkey_app.grant("r", until="2083-01-01T00:00:00Z")
    answer = valkey_app.call("GET", f"/v1/readers/r?at={moment}", admin=True)
    assert (answer.status_code, answer.get_json()["access"]) == (200, True)
