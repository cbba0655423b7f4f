"""Erase a reader everywhere, which is the reader's right; the audit log keeps that it was done.

The order is such that a crash leaves nothing half hidden: first the mark, so that Stripe brings nothing back; then all that
is kept; the audit log last, with the record that says so. To do it again finishes what was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import Actor, AuditWriter
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.audit.redaction import AuditErasure
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grant_ends import GrantEndIndex
from service.adapters.redis.reader_lifecycle.erasure import ErasedReaders, Eraser
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.reporting.usage_counts import UsageStore
from service.adapters.redis.staff.approvals import Approvals
from service.domain.catalogue import Catalogue
from service.domain.errors import LiveSubscription
from service.domain.sources import Grant, Standing, Subscription
from service.use_cases.grants.imports.grant_imports import GrantImports
from service.use_cases.grants.imports.pacing import Pace

_REST = 1.0
"""Seconds of rest for each second of work: the same process answers checks."""


@dataclass(frozen=True, slots=True)
class ReaderIds:
    """A reader with all known IDs that they have or had, and the hashes of those IDs."""

    reader: str
    names: tuple[str, ...]
    tags: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What was erased, and whether the store writes its files anew now."""

    counts: dict[str, int]
    files_rewritten: bool


class Erasure:
    """Erases. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        readers: Readers,
        audit: AuditWriter,
        audit_log: AuditLog,
        audit_erasure: AuditErasure,
        approvals: Approvals,
        imports: GrantImports,
        erased: ErasedReaders,
        eraser: Eraser,
        ends: GrantEndIndex,
        usage: UsageStore,
        known: RecentEntitlements,
    ) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._audit = audit
        self._audit_log = audit_log
        self._audit_erasure = audit_erasure
        self._approvals = approvals
        self._imports = imports
        self._erased = erased
        self._eraser = eraser
        self._ends = ends
        self._usage = usage
        self._known = known

    def find_ids(self, reader: str) -> ReaderIds:
        """Return the person behind an ID: with the ID it was merged into, and all others that were."""
        heir = self._readers.resolve_merged(reader)
        tags = {reader_hash(reader), reader_hash(heir), *self._eraser.merged_tags(reader_hash(heir))}
        names = list(dict.fromkeys((heir, reader, *self._eraser.merged_ids(tags))))
        for name in names:  # It grows: who was merged into one that was merged later is named with that one.
            names += [other for other in self._merged(name) if reader_hash(other) in tags and other not in names]
        return ReaderIds(heir, tuple(names), frozenset(tags))

    def _merged(self, name: str) -> Iterator[str]:
        """The ids in the audit's records of merges about this one; for merges from before their names were kept."""
        for record in self._audit_log.list_for_reader(name):
            if record["action"] == "merge":
                yield from filter(None, (record["reader"], record["target"]))

    def list_running(self, person: ReaderIds, now: float) -> list[str]:
        """Return the IDs of the reader's subscriptions, also gifts, that are paid for now. A seat is the group's."""
        found = []
        for kept in self._readers.load_active(person.reader):
            source = kept.source
            if isinstance(source, Subscription) and source.role != "seat":
                holdings = source.holdings(self._catalogue)
                if any(h.standing_at(now) in (Standing.GOOD, Standing.GRACE) for h in holdings):
                    found.append(source.id)
        return found

    def erase(
        self,
        reader: str,
        reason: str,
        actor: Actor,
        now: float,
        *,
        force: bool = False,
        step: Callable[[], None] | None = None,
    ) -> ErasureResult:
        """Erase a reader, under every ID that they had. `step` is called between two pages. Raises: `LiveSubscription`."""
        self._settle(reader)
        person = self.find_ids(reader)
        if not force and (ids := self.list_running(person, now)):
            raise LiveSubscription(ids)
        self._erased.mark(person.tags, now)
        counts = self._count(person)
        self._forget(person)
        counts["import_rows"] = self._imports.remove_reader(person.tags)
        counts |= self._eraser.erase(person.tags, person.names, step or Pace(_REST).step)
        counts["approvals"] = self._approvals.remove_readers(person.tags)
        counts["audit"] = self._audit_erasure.erase(person.names, counts, reason, actor, now)
        for name in person.tags:
            self._known.forget(name)
        self._eraser.forget_merges(person.tags)
        return ErasureResult(counts, self._eraser.start_file_rewrite())

    def wait_for_file_rewrite(self, patience: float) -> bool:
        """Wait until the store has rewritten its files, for at most `patience` seconds. Return whether it has."""
        return self._eraser.wait_for_file_rewrite(patience)

    def _settle(self, reader: str) -> None:
        """What the audit log has yet to take goes into it first: it is erased there."""
        for tag in {reader_hash(reader), reader_hash(self._readers.resolve_merged(reader))}:
            self._audit.flush_outbox(tag)

    def _count(self, person: ReaderIds) -> dict[str, int]:
        sources = self._readers.load_all(person.reader)
        return {
            "sources": sum(kept.source is not None for kept in sources),
            "changes": len(self._readers.load_history(person.reader)),
            "customers": len(self._readers.list_customers(person.reader)),
        }

    def _forget(self, person: ReaderIds) -> None:
        """Delete what names the reader outside their own keys, as long as those still lead to it."""
        grants = [kept.source for kept in self._readers.load_all(person.reader) if isinstance(kept.source, Grant)]
        for tag in person.tags:
            self._ends.remove_reader(tag, grants)
            self._usage.forget_reader(tag)
            self._known.forget(tag)
