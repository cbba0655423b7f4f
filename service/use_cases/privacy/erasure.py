"""Erase everything about a reader (GDPR, article 17); the audit log records that it was done.

The mark against older Stripe facts comes first, then the data, then the audit log with the record of the erasure. A repeat
finishes what a crash interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import Actor, AuditWriter
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.audit.redaction import AuditErasure
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.providers.provider_sources import ProviderSources
from service.adapters.redis.reader_lifecycle.erasure import Eraser
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.reporting.usage_counts import UsageStore
from service.adapters.redis.staff.approvals import Approvals
from service.domain.catalogue import Catalogue
from service.domain.errors import LiveSubscription
from service.domain.sources import LIVE, External, Grant, Subscription
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.imports.pacing import Pace
from service.use_cases.lists.index_updates import IndexUpdates
from service.use_cases.subscriptions.owned_groups import OwnedGroups


@dataclass(frozen=True, slots=True)
class ReaderIds:
    """A reader with all known IDs that they have or had, and the hashes of those IDs."""

    reader: str
    names: tuple[str, ...]
    tags: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """How much was erased of each kind, and whether the store is rewriting its files."""

    counts: dict[str, int]
    files_rewritten: bool


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Erases readers. Raises: StoreUnavailable from every method."""

    catalogue: Catalogue
    readers: Readers
    audit: AuditWriter
    audit_log: AuditLog
    audit_erasure: AuditErasure
    approvals: Approvals
    imports: BulkImports
    groups: OwnedGroups
    erased: ErasedReaders
    eraser: Eraser
    ends: GrantEndIndex
    usage: UsageStore
    provider_sources: ProviderSources
    known: RecentEntitlements
    index: IndexUpdates

    def find_ids(self, reader: str) -> ReaderIds:
        """Return all IDs of a reader: the one they were merged into, and all others that were merged into that one."""
        heir = self.readers.resolve_merged(reader)
        tags = {reader_hash(reader), reader_hash(heir), *self.eraser.merged_tags(reader_hash(heir))}
        names = list(dict.fromkeys((heir, reader, *self.eraser.merged_ids(tags))))
        for name in names:  # The list grows: earlier merges are recorded under the ID that was merged later.
            names += [other for other in self._merged(name) if reader_hash(other) in tags and other not in names]
        return ReaderIds(heir, tuple(names), frozenset(tags))

    def _merged(self, name: str) -> Iterator[str]:
        """Yield IDs from audit records of merges, for merges from before the store kept their IDs."""
        for record in self.audit_log.list_for_reader(name):
            if record["action"] == "merge":
                yield from filter(None, (record["reader"], record["target"]))

    def _list_running(self, ids: ReaderIds, now: float) -> list[str]:
        """Return the IDs of the reader's subscriptions, also gifts and other providers', that run. A seat is the group's."""
        found = []
        for source in self.readers.load_active(ids.reader):
            if isinstance(source, External) or (isinstance(source, Subscription) and source.role != "seat"):
                holdings = source.holdings(self.catalogue)
                if any(h.standing_at(now) in LIVE for h in holdings):
                    found.append(source.id)
        return found

    def erase(self, reader: str, reason: str, actor: Actor, now: float, *, force: bool = False) -> ErasureResult:
        """Erase a reader, under every ID that they had. Raises: `LiveSubscription`.

        If nothing is kept of an ID, only its mark and the audit record are written, because the ID can be any word of a reason.
        """
        self._flush_audit(reader)
        ids = self.find_ids(reader)
        if not force and (running := self._list_running(ids, now)):
            raise LiveSubscription(running)
        is_known = self.eraser.begin(ids.tags)
        self.erased.mark(ids.tags, now)
        counts = self._count(ids)
        self._forget(ids)
        counts |= self._forget_waiting(ids, ids.names if is_known else ())
        # After what waits, so that nothing is written again.
        external = [source for source in self.readers.load_all(ids.reader) if isinstance(source, External)]
        self.provider_sources.remove_reader(external, ids.tags)
        step = Pace().step
        erased = self.eraser.erase(ids.tags, ids.names if is_known else (), step)
        if not is_known and (counts["import_rows"] or any(erased.values())):
            is_known = True
            self.eraser.mark_unfinished(ids.tags)
            self._forget_waiting(ids, ids.names)
            erased["reasons"] = self.eraser.erase(ids.tags, ids.names, step)["reasons"]
        counts |= erased
        counts["audit"] = self.audit_erasure.erase(ids.names, counts, reason, actor, now, is_known=is_known)
        self.index.remove(ids.names)
        self.known.forget_all(ids.tags)
        self.eraser.finish(ids.tags)
        return ErasureResult(counts, self.eraser.start_file_rewrite())

    def _flush_audit(self, reader: str) -> None:
        """Move pending audit entries into the log, because they are erased there."""
        for tag in {reader_hash(reader), reader_hash(self.readers.resolve_merged(reader))}:
            self.audit.flush_outbox(tag)

    def _count(self, ids: ReaderIds) -> dict[str, int]:
        return {
            "sources": len(self.readers.load_all(ids.reader)),
            "changes": len(self.readers.load_history(ids.reader)),
            "customers": len(self.readers.list_customers(ids.reader)),
        }

    def _forget_waiting(self, ids: ReaderIds, names: Sequence[str]) -> dict[str, int]:
        """Remove the reader from what waits for a second admin, and these names from its reasons."""
        return {
            "import_rows": self.imports.remove_reader(ids.tags, names),
            "approvals": self.approvals.remove_readers(ids.tags, names),
        }

    def _forget(self, ids: ReaderIds) -> None:
        """Delete what names the reader outside their own keys, as long as those still lead to it."""
        self.groups.withdraw_all_of(ids.names)
        grants = [source for source in self.readers.load_all(ids.reader) if isinstance(source, Grant)]
        for tag in ids.tags:
            self.ends.remove_reader(tag, grants)
            self.usage.forget_reader(tag)
        self.known.forget_all(ids.tags)
