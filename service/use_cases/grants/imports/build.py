"""The pieces of imports, put together."""

from __future__ import annotations

from collections.abc import Callable

from service.approving import Approving
from service.importing.bulk import GrantImports
from service.importing.pace import Pace
from service.importing.planning import Planner
from service.importing.rolling import LEASE, Background, Roller
from service.importing.seams import Checkpoint, pass_by
from service.importing.staging import CHUNK, Staging
from service.importing.standing import Standings
from service.paywall.catalogue import Catalogue
from service.store.audit import Audit
from service.store.grant_ends import GrantEnds
from service.store.imports import Imports
from service.store.keys import Keys
from service.store.known import Known
from service.store.link import Link
from service.store.secret import Secrets


def build(
    catalogue: Catalogue,
    link: Link,
    keys: Keys,
    secrets: Secrets,
    audit: Audit,
    known: Known | None,
    approving: Approving,
    clock: Callable[[], float],
    *,
    report: Callable[[str, Exception], None],
    rest: float = 1.0,
    checkpoint: Checkpoint = pass_by,
    lease: float = LEASE,
    rows_a_chunk: int = CHUNK,
) -> GrantImports:
    """`rest` is how long the work rests for each second of it; `report` is told of what nobody foresaw."""
    store, planner = Imports(link, keys, lambda: secrets.sealer("import")), Planner(link, keys)
    staging = Staging(store, planner, checkpoint, rows_a_chunk)
    standings, ends, pace = Standings(link, keys), GrantEnds(link, keys), Pace(rest)
    roller = Roller(store, planner, standings, ends, known, clock, checkpoint=checkpoint, pace=pace, lease=lease)
    background = Background(roller, store, report)
    return GrantImports(store, staging, roller, background, catalogue, audit, approving, clock, checkpoint=checkpoint)
