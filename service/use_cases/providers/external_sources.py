"""Take one source of a provider as the site's own server reports it: it runs, or it has ended.

The reader's record is written first, then the record of a reader who had the source before, and last the provider's entry.
The next report about the source and this reader finishes what a crash left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grants import differences
from service.adapters.redis.providers.provider_sources import ProviderSource, ProviderSources, entry_of
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers.readers import Readers, tombstone_of, write_of
from service.domain.catalogue import Catalogue, Provider
from service.domain.errors import InvalidFields, UnknownExternal, UnknownProvider
from service.domain.sources import External, end_order
from service.domain.times import write_time


@dataclass(frozen=True, slots=True)
class ExternalReport:
    """A report of one source: the provider and its ID there, the reader, who reports it, and when (epoch seconds)."""

    provider: str
    external_id: str
    reader: str
    actor: Actor
    now: float


@dataclass(frozen=True, kw_only=True)
class ExternalSources:
    """Writes single sources of providers. Raises: StoreUnavailable from every method."""

    catalogue: Catalogue
    readers: Readers
    sources: ProviderSources
    index: ReaderIndex
    audit: AuditWriter
    known: RecentEntitlements

    def write_source(self, report: ExternalReport, plan: str, until: int | None) -> External:
        """Store that a reader has a source until an end (epoch seconds), or until it is ended; a repeat changes nothing.

        Another reader who had it loses it. Raises: UnknownProvider, InvalidFields.
        """
        find_provider(self.catalogue, report.provider)
        if plan not in self.catalogue.plans:
            known = ", ".join(self.catalogue.plans)
            raise InvalidFields([("plan", f"there is no plan {plan!r}; there are {known}")])
        while True:
            heir, entry, current = self._load(report)
            if current is not None and (current.plan, current.until, current.ended_at) == (plan, until, None):
                return current
            goes_on = current is not None and current.ended_at is None
            start = current.start if current is not None and goes_on else int(report.now)
            source = External(f"{report.provider}:{report.external_id}", plan, start, until)
            if self._replace(report, heir, entry, source, _audit_put(report, heir, current, source)):
                return source

    def end_source(self, report: ExternalReport, reason: str | None = None) -> External:
        """End a source at once; one that has ended stays as it is. Raises: UnknownProvider, UnknownExternal."""
        find_provider(self.catalogue, report.provider)
        while True:
            heir, entry, current = self._load(report)
            if current is None:
                raise UnknownExternal
            if not current.is_running_at(report.now):
                return current
            source = replace(current, ended_at=int(report.now))
            if self._replace(report, heir, entry, source, _audit_end(report, heir, current, reason)):
                return source

    def _load(self, report: ExternalReport) -> tuple[str, ProviderSource | None, External | None]:
        """Return the reader after merges, the entry of the source, and the source if that reader has it."""
        heir = self.readers.resolve_merged(report.reader)
        entry, tag = self.sources.find(report.provider, report.external_id), reader_hash(heir)
        kept = self.readers.find_source(heir, f"x:{report.provider}:{report.external_id}".encode())
        if kept is not None and isinstance(kept.source, External) and kept.number > (entry.number if entry else 0):
            # A crash came between the two writes of an earlier report, or of a snapshot, which indexes the reader later.
            self.index.mark_imported_ids([heir])
            self._write_entry(report, entry, kept.source, kept.number, tag)
            return heir, entry_of(kept.source, kept.number, tag), kept.source
        has_it = entry is not None and self._owner_of(entry) == tag
        return heir, entry, entry.as_source(report.provider, report.external_id) if entry and has_it else None

    def _owner_of(self, entry: ProviderSource) -> bytes:
        """Return the hash of the reader who has a source, after merges."""
        tag = entry.tag.encode()
        return self.sources.find_heirs([tag]).get(tag, (tag, ""))[0]

    def _replace(
        self,
        report: ExternalReport,
        reader: str,
        entry: ProviderSource | None,
        source: External,
        written: dict[str, Any],
    ) -> bool:
        """Write a source with its audit entry. Return `False` if the reader was merged, or a newer report came meanwhile."""
        number, tag, now = self.sources.next_number(report.provider), reader_hash(reader), report.now
        ended, cause = source.ended_at is not None, f"audit:{written['id']}"
        with self.audit.recording(tag, written) as signed:
            write = write_of(source, number, ended=ended, now=now, cause=cause, audit=signed)
            outcome = self.readers.write(reader, write)
        if outcome.verdict in ("merged", "stale"):
            return False
        if isinstance(outcome.before, External) and gives_less(outcome.before, source):
            self._forget_access(reader, now)
        self._write_entry(report, entry, source, number, tag)
        return True

    def _write_entry(
        self, report: ExternalReport, entry: ProviderSource | None, source: External, number: int, tag: bytes
    ) -> None:
        """Take a source from the reader who had it by this entry, and write the entry of the one who has it now."""
        if entry is not None and (former := self._owner_of(entry)) != tag:
            self._take_from(former, report, source, number)
        written_over = self.sources.write(report.provider, {report.external_id: entry_of(source, number, tag)})
        between = written_over[report.external_id]
        if between is not None and between != entry:  # Another report came between; the newer one stands.
            loser = tag if between.number > number else self._owner_of(between)
            if self._owner_of(between) != tag:
                self._take_from(loser, report, source, max(number, between.number))

    def _take_from(self, tag: bytes, report: ExternalReport, source: External, number: int) -> None:
        """Take a source from a reader, by their hash, because it is another reader's now."""
        reader = self.index.find_ids([tag]).get(tag)
        if reader is None:  # They were erased.
            return
        field = f"x:{source.id}".encode()
        kept = self.readers.find_source(reader, field)
        if kept is None or not isinstance(kept.source, External):
            return
        if not kept.source.is_running_at(report.now):  # It ended before, as the audit log says already.
            self.readers.write(reader, tombstone_of(field, number, now=report.now, cause="moved"))
            return
        written = _audit_end(report, reader, kept.source, None)
        with self.audit.recording(tag, written) as signed:
            cause = f"audit:{written['id']}"
            self.readers.write(reader, tombstone_of(field, number, now=report.now, cause=cause, audit=signed))
        self._forget_access(reader, report.now)

    def _forget_access(self, reader: str, now: float) -> None:
        """Replace what this machine knows of a reader who may hold less now."""
        self.known.refresh({reader_hash(reader): lambda: self.readers.load_held(reader, self.catalogue, now)})


def find_provider(catalogue: Catalogue, name: str) -> Provider:
    """Return a provider of the configuration. Raises: UnknownProvider."""
    if name not in catalogue.providers:
        raise UnknownProvider(list(catalogue.providers))
    return catalogue.providers[name]


def gives_less(before: External, after: External) -> bool:
    """Return whether a change can take access from the reader."""
    return before.plan != after.plan or after.ended_at is not None or end_order(after.until) < end_order(before.until)


def _audit_put(report: ExternalReport, reader: str, current: External | None, source: External) -> dict[str, Any]:
    before, after = None, _describe(source, report.now)
    if current is not None:
        before, after = differences(_describe(current, report.now), after)
    return audit_entry(
        report.actor, "external.put", now=report.now, reader=reader, target=source.id, before=before, after=after
    )


def _audit_end(report: ExternalReport, reader: str, current: External, reason: str | None) -> dict[str, Any]:
    ended = replace(current, ended_at=int(report.now))
    before, after = differences(_describe(current, report.now), _describe(ended, report.now))
    return audit_entry(
        report.actor,
        "external.end",
        now=report.now,
        reader=reader,
        target=current.id,
        before=before,
        after=after,
        reason=reason,
    )


def _describe(source: External, now: float) -> dict[str, Any]:
    """Return a source as the audit log records it."""
    ends = [end for end in (source.until, source.ended_at) if end is not None]
    status = "active" if source.is_running_at(now) else "ended"
    return {"plan": source.plan, "until": write_time(min(ends, default=None)), "status": status}
