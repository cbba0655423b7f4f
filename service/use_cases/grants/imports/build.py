"""The pieces of imports, put together."""

from __future__ import annotations

from collections.abc import Callable

from service.adapters.recent_entitlements import Known
from service.adapters.redis.audit.audit import Audit
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grant_ends import GrantEnds
from service.adapters.redis.grants.imports import Imports
from service.adapters.redis.service_state.secrets import Secrets
from service.domain.catalogue import Catalogue
from service.use_cases.grants.approvals import Approving
from service.use_cases.grants.imports.grant_imports import GrantImports
from service.use_cases.grants.imports.grant_states import Standings
from service.use_cases.grants.imports.pacing import Pace
from service.use_cases.grants.imports.plan import Planner
from service.use_cases.grants.imports.ports import Checkpoint, pass_by
from service.use_cases.grants.imports.roll_forward import LEASE, Background, Roller
from service.use_cases.grants.imports.staging import CHUNK, Staging


def build(
    catalogue: Catalogue,
    store: Store,
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
    imports, planner = Imports(store, lambda: secrets.sealer("import")), Planner(store)
    staging = Staging(imports, planner, checkpoint, rows_a_chunk)
    standings, ends, pace = Standings(store), GrantEnds(store), Pace(rest)
    roller = Roller(imports, planner, standings, ends, known, clock, checkpoint=checkpoint, pace=pace, lease=lease)
    background = Background(roller, imports, report)
    return GrantImports(imports, staging, roller, background, catalogue, audit, approving, clock, checkpoint=checkpoint)
