"""Test the routes without a key: what describes the API is rendered once, and browsers keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp


@pytest.mark.parametrize("path", ["/docs", "/docs.css", "/openapi.json"])
def test_description_is_rendered_once_and_revalidated(valkey_app: InProcessApp, path: str) -> None:
    first, second = (valkey_app.client.get(path) for _ in range(2))
    # A test client's answer contains the chunks of the application: the same object was not rendered again.
    body = next(first.iter_encoded())
    assert next(second.iter_encoded()) is body
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert second.headers["ETag"] == etag
    unchanged = valkey_app.client.get(path, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", etag)
    assert valkey_app.client.get(path, headers={"If-None-Match": '"of-another-release"'}).data == body
