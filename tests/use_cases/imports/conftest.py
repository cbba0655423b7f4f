"""Fixtures: an app with a played Stripe over its store, and files of links."""

from __future__ import annotations

from typing import Any

from tests.admin_app import Admins
from tests.store_servers import wait_until


def link_file(*rows: str, kind: str = "customer") -> bytes:
    return "".join(f"{row}\n" for row in (f"reader,{kind}", *rows)).encode()


def send_links(admins: Admins, body: bytes, status: int = 202, **query: str) -> dict[str, Any]:
    return admins.call_json(
        "ann", "POST", "/v1/links/import", data=body, content_type="text/csv", query_string=query, status=status
    )


def wait_for_links(admins: Admins, import_id: str, state: str = "done") -> dict[str, Any]:
    path = f"/v1/links/import/{import_id}"
    wait_until(lambda: admins.call_json("ann", "GET", path)["state"] == state)
    return admins.call_json("ann", "GET", path)


def import_links(admins: Admins, *rows: str, kind: str = "customer") -> dict[str, Any]:
    """Import these links and wait until they are in force."""
    return wait_for_links(admins, send_links(admins, link_file(*rows, kind=kind))["id"])


def undo_links(admins: Admins, import_id: str) -> dict[str, Any]:
    admins.call_json("ann", "DELETE", f"/v1/links/import/{import_id}?reason=wrong+file", status=202)
    return wait_for_links(admins, import_id, "undone")
