"""What these tests share: a house with a past, and the same house over another store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.adapters.crypto import Sealer
from service.adapters.redis.service_state.snapshot import Snapshot
from service.use_cases.operations import backup
from tests.admin_app import ADMINS, SECRETS, House
from tests.in_process_app import MakeDesk
from tests.running_service import POLICY

SEALER = Sealer([SECRETS], "backup")
OTHER = {"valkey": "redis8", "redis8": "valkey"}


@pytest.fixture
def other_house(make_desk: MakeDesk, request: pytest.FixtureRequest) -> Callable[..., House]:
    """A house over an empty store of the other kind: Redis for Valkey, Valkey for Redis."""

    def made(**env: str) -> House:
        kind = OTHER[request.node.callspec.params["store_url"]]
        url: str = request.getfixturevalue(f"{kind}_url")
        return House(make_desk(url, POLICY, PAYWALL_ADMIN_KEYS=ADMINS, **{"PAYWALL_SECRETS": SECRETS, **env}))

    return made


def snapshot_of(house: House) -> Snapshot:
    return Snapshot(house.app.service.store)


def backed_up(house: House, folder: Path) -> Path:
    """A backup of the house as it is."""
    file = folder / "paywall.backup"
    backup.write_backup(file, house.app.service.store, SEALER, house.app.clock())
    return file


def restored(file: Path, into: House) -> None:
    backup.restore_backup(file, into.app.service.store, SEALER, replace=True, progress=lambda _: None)


def pages(house: House, path: str) -> list[Any]:
    """All of a list, page by page."""
    items: list[Any] = []
    after: str | None = None
    while True:
        query = {"limit": "100"} if after is None else {"limit": "100", "after": after}
        told = house.done("ann", "GET", path, query_string=query)
        items += told["items"]
        after = told["next"]
        if after is None:
            return items
