"""Test what `/` answers: links, as a page for browsers and as JSON for programs."""

from __future__ import annotations

import re

from tests.in_process_app import InProcessApp


def test_home_has_links_that_lead_somewhere(valkey_app: InProcessApp) -> None:
    links = valkey_app.client.get("/").get_json()["links"]
    page = valkey_app.client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.mimetype == "text/html"
    assert re.findall(r'<a href="([^"]+)"', page.text) == [link["path"] for link in links]
    for link in links:
        assert valkey_app.client.get(link["path"]).status_code in (200, 303), link


def test_home_needs_no_store(valkey_app: InProcessApp) -> None:
    valkey_app.service.store.link.close()
    assert valkey_app.client.get("/").status_code == 200
