"""What proves and what governs, put together: the audit log, keys, approvals, retention, and why a decision was made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from service.adapters.redis.audit.audit import Audit
from service.adapters.redis.audit.audit_log import AuditLog
from service.adapters.redis.audit.redaction import AuditErasure
from service.adapters.redis.audit.registry import Registry
from service.adapters.redis.audit.verification import AuditCheck
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grants import Grants
from service.adapters.redis.readers.past import Past
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.readers.retention import Retention
from service.adapters.redis.service_state.policies import Policies
from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.redis.staff.admin_keys import AdminKeys
from service.adapters.redis.staff.approvals import Approvals
from service.domain.catalogue import Catalogue
from service.use_cases.access.causes import Traces
from service.use_cases.access.check import Desk
from service.use_cases.access.decision_ids import DecisionIds
from service.use_cases.access.explain import Why
from service.use_cases.access.policy_revisions import PolicyKeeper
from service.use_cases.grants.approvals import Approving
from service.use_cases.grants.manage import Giving
from service.use_cases.privacy.retention import LettingGo


@dataclass(frozen=True)
class Governance:
    """The pieces, put together once a process."""

    catalogue: Catalogue
    audit: Audit
    audit_log: AuditLog
    audit_check: AuditCheck
    audit_erasure: AuditErasure
    admin_keys: AdminKeys
    approvals: Approvals
    approving: Approving
    giving: Giving
    policies: Policies
    policy_keeper: PolicyKeeper
    letting_go: LettingGo
    why: Why

    def finish_own(self, now: float) -> dict[str, int]:
        """Finishes what was begun: audit entries not yet in the chain, confirmed work not yet done. Gives how much it was."""
        return {
            "audit_entries_moved": self.audit.settle_all(),
            "approvals_finished": self.approving.finish_all(now),
        }

    def upkeep(self, now: float) -> int:
        """What the worker does every round. Gives how much was done. `StoreUnavailable` where the store is away."""
        done = sum(self.finish_own(now).values()) + self.approvals.tidy(now)
        return done + self.letting_go.go_on(now)


def build(
    catalogue: Catalogue,
    taken: Collection[str],
    store: Store,
    secrets: Secrets,
    audit: Audit,
    audit_log: AuditLog,
    readers: Readers,
    grants: Grants,
    desk: Desk,
    decision_ids: DecisionIds,
    clock: Callable[[], float],
    on_broken: Callable[[int], None],
) -> Governance:
    """Puts them together; nothing connects yet.

    `taken` are the names of the environment's keys; `on_broken` is told of the first record at fault, where retention
    finds a chain that is not sound.
    """
    approvals = Approvals(Registry(store, audit, "approvals"), lambda: secrets.sealer("approval"))
    approving = Approving(approvals)
    audit_check = AuditCheck(store, audit_log, lambda: secrets.signer("audit"))
    policies = Policies(store)
    traces = Traces(catalogue, Past(store), audit_log)
    return Governance(
        catalogue=catalogue,
        audit=audit,
        audit_log=audit_log,
        audit_check=audit_check,
        audit_erasure=AuditErasure(store, audit, audit_log),
        admin_keys=AdminKeys(Registry(store, audit, "keys"), lambda: secrets.signer("key"), taken),
        approvals=approvals,
        approving=approving,
        giving=Giving(catalogue, readers, grants, approving),
        policies=policies,
        policy_keeper=PolicyKeeper(policies, catalogue, store.link, clock),
        letting_go=LettingGo(catalogue, Retention(store), policies, audit_check, on_broken=on_broken),
        why=Why(catalogue, store, desk, readers, decision_ids, policies, traces),
    )
