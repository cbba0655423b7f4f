"""Imports, erasing and backups where keys are spread over several masters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.use_cases.operations import backup
from tests.adapters.redis.client import test_link_cluster as clusters
from tests.admin_app import ADMINS, SECRETS, House
from tests.in_process_app import MakeDesk
from tests.running_service import POLICY
from tests.use_cases.grants.imports.conftest import take, undo
from tests.use_cases.operations.conftest import SEALER, backed_up, restored
from tests.use_cases.privacy.conftest import holding

build = clusters.build

ROWS = [f"r-{n},vip,never,press" for n in range(120)]


@pytest.mark.full
@clusters.KINDS
def test_import_erasure_and_backup_work_on_a_cluster(
    build: Any, make_desk: MakeDesk, valkey_url: str, tmp_path: Path, kind: str
) -> None:
    cluster = build(kind)
    settings = {"PAYWALL_ADMIN_KEYS": ADMINS, "PAYWALL_SECRETS": SECRETS}
    house = House(make_desk(cluster.url, POLICY, **settings))
    assert take(house, *ROWS)["new"] == 120
    assert undo(house, take(house, "r-500,vip,never,x"))["undo"]["taken_back"] == 1
    assert all(house.app.reader(f"r-{n}")["access"] for n in range(0, 120, 7))
    house.grant("zoe-7f31", reason="for zoe-7f31")
    told = house.done("ann", "DELETE", "/v1/readers/zoe-7f31?reason=asked")
    assert told["erased"]["sources"] == 1
    assert holding(house.app.service.store.link, "zoe-7f31") == []
    file = backed_up(house, tmp_path)
    other = House(make_desk(valkey_url, POLICY, **settings))
    restored(file, other)
    assert other.app.reader("r-7") == house.app.reader("r-7")
    assert other.audit() == house.audit()
    assert other.app.service.audit_verifier.verify().fault is None
    assert backup.check_backup(file, SEALER).keys > 240
