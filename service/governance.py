"""What proves and what governs, put together: the audit log, keys, approvals, retention, and why a decision was made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from service.approving import Approving
from service.decision_ids import DecisionIds
from service.desk import Desk
from service.giving import Giving
from service.paywall.catalogue import Catalogue
from service.policy_keeper import PolicyKeeper
from service.store.admin_keys import AdminKeys
from service.store.approvals import Approvals
from service.store.audit import Audit
from service.store.audit_check import AuditCheck, BrokenChain
from service.store.audit_erase import AuditErasure
from service.store.audit_log import AuditLog
from service.store.grants import Grants
from service.store.keys import Keys
from service.store.link import Link
from service.store.policies import Policies
from service.store.readers import Readers
from service.store.registry import Registry
from service.store.retention import Retention
from service.store.secret import Secrets
from service.trace import Traces
from service.why import Why

DAILY = 86_400


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
    retention: Retention
    why: Why

    def finish_own(self, now: float) -> dict[str, int]:
        """Finishes what was begun: audit entries not yet in the chain, confirmed work not yet done. Gives how much it was."""
        return {
            "audit_entries_moved": self.audit.settle_all(),
            "approvals_finished": self.approving.finish_all(now),
        }

    def upkeep(self, now: float) -> dict[str, int]:
        """What the worker does every few seconds: moves entries left behind, finishes what was confirmed; daily, retention.

        Gives what was done, by name. `StoreUnavailable` where the store is away.
        """
        done = {**self.finish_own(now), "approvals_over": self.approvals.tidy(now)}
        if self.retention.claim(DAILY):
            try:
                done |= self.let_go(now)
            except BaseException:
                self.retention.release()
                raise
        return done

    def let_go(self, now: float) -> dict[str, int]:
        """Lets go of what `[retention]` keeps no longer. A chain that is not sound is left as it is, for `verify` to tell."""
        kept = self.catalogue.retention
        done = {
            "changes_let_go": self.retention.trim_histories(now - kept.history),
            "policies_let_go": self.policies.tidy(now - kept.history),
        }
        if kept.audit is not None:
            try:
                done["audit_records_let_go"] = self.audit_check.prune(now - kept.audit, now)
            except BrokenChain:
                done["audit_chain_broken"] = 1
        return done


def build(
    catalogue: Catalogue,
    taken: Collection[str],
    link: Link,
    keys: Keys,
    secrets: Secrets,
    audit: Audit,
    audit_log: AuditLog,
    readers: Readers,
    grants: Grants,
    desk: Desk,
    decision_ids: DecisionIds,
    clock: Callable[[], float],
) -> Governance:
    """Puts them together; nothing connects yet. `taken` are the names of the environment's keys."""
    approvals = Approvals(Registry(link, keys, audit, "approvals"), lambda: secrets.sealer("approval"))
    approving = Approving(approvals)
    policies = Policies(link, keys)
    traces = Traces(catalogue, readers, audit_log)
    return Governance(
        catalogue=catalogue,
        audit=audit,
        audit_log=audit_log,
        audit_check=AuditCheck(link, keys, audit_log, lambda: secrets.signer("audit")),
        audit_erasure=AuditErasure(link, keys, audit, audit_log),
        admin_keys=AdminKeys(Registry(link, keys, audit, "keys"), taken),
        approvals=approvals,
        approving=approving,
        giving=Giving(catalogue, readers, grants, approving),
        policies=policies,
        policy_keeper=PolicyKeeper(policies, catalogue, link, clock),
        retention=Retention(link, keys),
        why=Why(catalogue, link, desk, readers, decision_ids, policies, traces),
    )
