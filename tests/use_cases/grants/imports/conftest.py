"""Imports over HTTP in the test's process, and imports that a test stops at any step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin_app import Admins
from tests.import_bench import Bench, import_bench
from tests.running_service import POLICY
from tests.store_servers import wait_until

HEADER = "reader,plan,until,reason\n"
SOON, LATE = "2083-01-01T00:00:00Z", "2084-01-01T00:00:00Z"
STRICT = POLICY + '\n[grants]\nconfirm_above = { readers = 2, length = "3660d" }\n'


@pytest.fixture
def admins(admins: Admins) -> Admins:
    admins.app.clock.at("2082-11-20T10:00:00Z")
    return admins


def ends(admins: Admins, reader: str) -> list[tuple[str | None, str]]:
    """Return the end and the status of each source of a reader."""
    return sorted((source["until"] or "never", source["status"]) for source in admins.app.reader(reader)["sources"])


def sheet(*rows: str) -> bytes:
    """Return a CSV file of these rows."""
    return (HEADER + "".join(f"{row}\n" for row in rows)).encode()


def send(admins: Admins, body: bytes, who: str = "ann", **more: Any) -> Any:
    return admins.call(
        who, "POST", "/v1/grants/import", data=body, content_type=more.pop("content_type", "text/csv"), **more
    )


def wait_for_import(admins: Admins, imported: dict[str, Any], state: str = "done") -> dict[str, Any]:
    """Wait until the import has this state and return it."""
    path = f"/v1/grants/import/{imported['id']}"
    wait_until(lambda: admins.call_json("ann", "GET", path)["state"] == state)
    return admins.call_json("ann", "GET", path)


def import_rows(admins: Admins, *rows: str, who: str = "ann") -> dict[str, Any]:
    """Import these rows and wait until it is done."""
    answer = send(admins, sheet(*rows), who)
    assert answer.status_code == 202, answer.text
    return wait_for_import(admins, answer.get_json())


def undo(admins: Admins, imported: dict[str, Any], who: str = "ann") -> dict[str, Any]:
    admins.call_json(who, "DELETE", f"/v1/grants/import/{imported['id']}?reason=wrong+file", status=202)
    return wait_for_import(admins, imported, "undone")


@pytest.fixture
def bench(tmp_path: Path, store_url: str) -> Iterator[Bench]:
    with import_bench(tmp_path, store_url) as made:
        yield made
