"""Fixtures: an app with data, and the same app over another store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.crypto import Sealer
from service.adapters.redis.audit.chain import Head
from service.adapters.redis.service_state.snapshot import Snapshot
from service.use_cases.operations import backup
from tests.admin_app import ADMINS, SECRETS, Admins
from tests.in_process_app import MakeApp
from tests.running_service import POLICY

SEALER = Sealer([SECRETS], "backup")
OTHER = {"valkey": "redis8", "redis8": "valkey"}


@pytest.fixture
def other_admins(make_app: MakeApp, request: pytest.FixtureRequest) -> Callable[..., Admins]:
    """Make apps over an empty store of the other kind: Redis for Valkey, Valkey for Redis."""

    def made(**env: str) -> Admins:
        kind = OTHER[request.node.callspec.params["store_url"]]
        url: str = request.getfixturevalue(f"{kind}_url")
        return Admins(make_app(url, POLICY, PAYWALL_ADMIN_KEYS=ADMINS, **{"PAYWALL_SECRETS": SECRETS, **env}))

    return made


def snapshot_of(admins: Admins) -> Snapshot:
    return Snapshot(admins.app.service.store)


def backed_up(admins: Admins, folder: Path) -> Path:
    """Write a backup of the app."""
    file = folder / "paywall.backup"
    backup.write_backup(file, admins.app.service.store, SEALER, admins.app.clock())
    return file


def restored(file: Path, into: Admins) -> Head | None:
    return backup.restore_backup(file, into.app.service.store, SEALER, replace=True, progress=lambda _: None)
