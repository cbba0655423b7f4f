"""Fixtures: imports over HTTP in the test's process, and imports that a test stops at any step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.adapters.observability import logs
from service.adapters.observability.metrics import Metrics
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.link import Link
from service.adapters.redis.imports.import_store import GRANT_IMPORT, ImportManifest, ImportStore
from service.bootstrap import Service, assemble, import_kinds
from service.domain.sources import Grant
from service.settings.settings import load_settings
from service.use_cases.grants.imports import grant_file
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.imports.pacing import UNPACED
from service.use_cases.imports.runner import ImportRunner
from service.use_cases.imports.staging import ImportStaging
from tests.admin_app import Admins
from tests.in_process_app import Clock, service_over
from tests.running_service import POLICY, environment
from tests.stepped_link import Step, SteppedLink, go_on
from tests.store_servers import wait_until

HEADER = "reader,plan,until,reason\n"
ANN, BEN = Actor("ann", "127.0.0.1"), Actor("ben", "127.0.0.1")


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


@dataclass
class Bench:
    """A service that runs only what a test calls."""

    service: Service
    clock: Clock
    links: list[SteppedLink] = field(default_factory=list)

    def link(self, before: Step = go_on, after: Step = go_on) -> SteppedLink:
        """Return the available link of another process."""
        self.links.append(SteppedLink(self.service.store.link.address, before=before, after=after))
        assert self.links[-1].wait(60)
        return self.links[-1]

    def imports(self, link: Link | None = None, lease: float = 0.04) -> BulkImports:
        """Return the imports of another process, which dies where its link says; seven rows are three chunks.

        On a busy machine a short lease (seconds) can end in any chunk, which is repeated then.
        """
        service = self.service
        process = assemble(service.settings, link or service.store.link, self.clock, Metrics())
        store = ImportStore(process.store, lambda: process.secrets.sealer("import"))
        kinds = {kind.name: kind for kind in import_kinds(process, store, UNPACED)}
        runner = ImportRunner(store, kinds, self.clock, lease=lease, report=logs.report_failed_import)
        return BulkImports(store, ImportStaging(store, 3), runner, kinds, process.audit, process.approvals)

    def submit(self, imports: BulkImports, body: bytes) -> ImportManifest:
        read = grant_file.read(body, self.service.settings.catalogue, self.clock())
        found = imports.submit(GRANT_IMPORT, read, ANN, self.clock())
        assert isinstance(found, ImportManifest)
        return found

    def grants(self, reader: str) -> list[Grant]:
        return self.service.grants.list_for_reader(reader)

    def active(self, reader: str) -> bool:
        return any(grant.status_at(self.clock()) == "active" for grant in self.grants(reader))


@pytest.fixture
def bench(tmp_path: Path, store_url: str) -> Iterator[Bench]:
    made = bench_at(tmp_path, store_url)
    yield made
    for link in made.links:
        link.close()
    made.service.close()


def bench_at(folder: Path, url: str, policy: str = POLICY) -> Bench:
    place = folder / os.urandom(4).hex()
    place.mkdir()
    clock = Clock()
    clock.now = float(int(clock.now))
    service = service_over(load_settings(environment(place, policy, {"REDIS_URL": url})), url, clock)
    assert service.store.link.wait(60)
    return Bench(service, clock)


Until = Callable[..., float]
