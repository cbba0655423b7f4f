"""Export everything that is kept of a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ReaderChange, Readers
from service.domain.prices import HeldPrice
from service.use_cases.access.reader_profile import ReaderProfile, ReaderProfiles
from service.use_cases.access.source_history import source_type
from service.use_cases.privacy.erasure import Erasure
from service.use_cases.subscriptions.owned_groups import HeldSeat, OwnedGroup, OwnedGroups


@dataclass(frozen=True, slots=True)
class ExportedChange:
    """A change of a source: `facts` is what the source was then, `None` where it was removed."""

    at: int
    type: str
    id: str
    facts: dict[str, Any] | None
    cause: str


@dataclass(frozen=True, slots=True)
class ReaderExport:
    """What is kept under every ID that a reader had. `head` is the end of the audit chain."""

    profile: ReaderProfile
    merged: Sequence[str]
    history: Sequence[ExportedChange]
    held_prices: Sequence[HeldPrice]
    stripe_objects: Sequence[str]
    groups: Sequence[OwnedGroup]
    seats: Sequence[HeldSeat]
    erased_at: float | None
    audit: Sequence[Mapping[str, Any]]
    head: str


@dataclass(frozen=True)
class Export:
    """Collects what is kept of a reader."""

    profiles: ReaderProfiles
    readers: Readers
    audit_log: AuditLog
    erasure: Erasure
    groups: OwnedGroups

    def collect(self, reader: str, now: float) -> ReaderExport:
        """Return everything that is kept of a reader. Raises: `StoreUnavailable`."""
        ids = self.erasure.find_ids(reader)
        records = {record["seq"]: record for name in ids.names for record in self.audit_log.list_for_reader(name)}
        return ReaderExport(
            profile=self.profiles.load_profile(reader, None, now),
            merged=[name for name in ids.names if name != reader],
            history=[_exported(change) for change in self.profiles.past.changes(ids.reader)],
            held_prices=self.profiles.past.held_prices(ids.reader),
            stripe_objects=sorted({name for own in ids.names for name in self.readers.list_owned_objects(own)}),
            groups=self.groups.list_owned(ids.reader, now),
            seats=self.groups.list_held_seats(ids.reader),
            erased_at=self.erasure.erased.last_erased_at(*ids.names),
            audit=[records[seq] for seq in sorted(records)],
            head=str(self.audit_log.state().head),
        )


def _exported(change: ReaderChange) -> ExportedChange:
    source = source_codec.decode(change.field, change.record) if change.record else None
    facts = None if source is None else {name: value for name, value in asdict(source).items() if name != "id"}
    return ExportedChange(change.at, *source_type(change), facts, change.cause)
