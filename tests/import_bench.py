"""A service whose imports a test runs step by step, and in several processes: `with import_bench(folder, url) as bench`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
from tests.in_process_app import Clock, service_over
from tests.running_service import POLICY, environment
from tests.stepped_link import Step, SteppedLink, go_on

ANN, BEN = Actor("ann", "127.0.0.1"), Actor("ben", "127.0.0.1")


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

    def manifests(self) -> list[ImportManifest]:
        """Return all imports that the store holds."""
        keys, imports = self.service.store.link.call(b"", b"KEYS", b"*}import"), self.imports()
        return [imports.find(bytes(key).decode().split("{i:")[1].split("}")[0]) for key in keys]


@contextmanager
def import_bench(folder: Path, url: str, policy: str = POLICY, *, now: float | None = None) -> Iterator[Bench]:
    place = folder / os.urandom(4).hex()
    place.mkdir()
    clock = Clock()
    clock.now = float(int(clock.now)) if now is None else now
    service = service_over(load_settings(environment(place, policy, {"REDIS_URL": url})), url, clock)
    assert service.store.link.wait(60)
    bench = Bench(service, clock)
    yield bench
    for link in bench.links:
        link.close()
    service.close()
