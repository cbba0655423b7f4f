"""Test imports, erasure and backups on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.use_cases.operations import backup
from tests.admin_app import ADMINS, SECRETS, Admins
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import POLICY
from tests.store_clusters import ON_BOTH_KINDS, BuildCluster
from tests.use_cases.grants.imports.conftest import import_rows, undo
from tests.use_cases.operations.conftest import SEALER, backed_up, restored
from tests.use_cases.privacy.conftest import holding

ROWS = [f"r-{n},vip,never,press" for n in range(120)]


def send_snapshot(app: InProcessApp, shift: int) -> dict[str, Any]:
    """Send 60 subscriptions, each of the reader with its number and `shift` further; return the answer."""
    rows = "".join(f"{number},r-{number + shift},quiet,\n" for number in range(60))
    body = f"id,reader,plan,until\n{rows}"
    answer = app.call("PUT", "/v1/providers/print/snapshot", admin=True, content_type="text/csv", data=body)
    found: dict[str, Any] = answer.get_json()
    assert app.service.imports.finish(found["id"]).state == "done"
    return found


@pytest.mark.full
@ON_BOTH_KINDS
def test_import_erasure_and_backup_work_on_a_cluster(
    build_cluster: BuildCluster, make_app: MakeApp, valkey_url: str, tmp_path: Path, kind: str
) -> None:
    cluster = build_cluster(kind)
    settings = {"PAYWALL_ADMIN_KEYS": ADMINS, "PAYWALL_SECRETS": SECRETS}
    admins = Admins(make_app(cluster.url, POLICY, **settings))
    assert import_rows(admins, *ROWS)["new"] == 120
    assert undo(admins, import_rows(admins, "r-500,vip,never,x"))["undo"]["taken_back"] == 1
    assert all(admins.app.reader(f"r-{n}")["access"] for n in range(0, 120, 7))
    admins.grant("zoe-7f31", reason="for zoe-7f31")
    body = admins.call_json("ann", "DELETE", "/v1/readers/zoe-7f31?reason=asked")
    assert body["erased"]["sources"] == 1
    assert holding(admins.app.service.store.link, "zoe-7f31") == []
    assert send_snapshot(admins.app, 0)["new"] == 60
    assert send_snapshot(admins.app, 1)["changed"] == 60
    file = backed_up(admins, tmp_path)
    other = Admins(make_app(valkey_url, POLICY, **settings))
    restored(file, other)
    assert other.app.reader("r-7") == admins.app.reader("r-7")
    assert other.audit() == admins.audit()
    assert other.app.reader("r-60")["sources"][0]["id"] == "print:59"
    assert send_snapshot(other.app, 1)["unchanged"] == 60
    assert other.app.service.audit_verifier.verify().fault is None
    assert backup.check_backup(file, SEALER).keys > 240
