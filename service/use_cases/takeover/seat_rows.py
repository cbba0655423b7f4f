"""Give those who pay for a group one of its seats, as rows of a take-over, and take it back in the undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.object_refresh import Job
from service.use_cases.subscriptions.projections import seats_paid_for


class SeatRow(msgspec.Struct, array_like=True):
    """A seat of a subscription; `quantity` counts where the subscription is not known here yet."""

    tag: str
    subscription: str
    quantity: int
    reader: str | None = None
    """The reader's ID; `None` when it is done."""
    given: bool = False


@dataclass(frozen=True)
class SeatRows:
    """Assigns and releases seats; each can be repeated. The audit entry is the import's. Raises: StoreUnavailable."""

    processor: EventProcessor

    def apply(self, rows: Sequence[SeatRow], manifest: ImportManifest, now: float) -> None:
        """Assign the seats that are free, also of a subscription that Stripe has not reported yet."""
        for row in rows:
            if row.reader is not None:
                row.given = self._assign(row, row.reader, manifest)
                self._fan_out(row, manifest.entry, now)
                row.reader = None

    def _assign(self, row: SeatRow, reader: str, manifest: ImportManifest) -> bool:
        """Return whether this import gave the seat, now or before a crash."""
        verdict, processor = "retry", self.processor
        heir, name = processor.owners.find_reader(reader).reader, _name(row)
        while verdict == "retry":
            obj = processor.objects.load(name)
            paid = seats_paid_for(obj.facts, processor.catalogue) if obj.facts else row.quantity
            verdict = processor.seats.assign(name, obj.rev, paid or 0, heir, now=manifest.created_at, audit=b"")
        return verdict == "given" or (verdict == "again" and _is_ours(obj, heir, manifest))

    def undo(self, rows: Sequence[SeatRow], manifest: ImportManifest, now: float) -> Counter[str]:
        """Release the seats that the import gave."""
        counted: Counter[str] = Counter()
        for row in rows:
            obj = self.processor.objects.load(_name(row))
            holder = next((reader for reader in obj.seats if reader_hash(reader) == row.tag.encode()), None)
            # A row that was under way when the import was undone does not say whether it was given.
            if holder is not None and (row.given or row.reader is not None) and _is_ours(obj, holder, manifest):
                self.processor.seats.release(obj.name, holder, now, b"")
                counted["taken_back"] += 1
            elif row.given:
                counted["left_alone"] += 1
            self._fan_out(row, manifest.undo, now)
        return counted

    def _fan_out(self, row: SeatRow, entry: str | None, now: float) -> None:
        job = Job(now, f"audit:{entry}", may_read=lambda: False)
        self.processor.object_refresh.fan_out_objects([_name(row)], job)


def _name(row: SeatRow) -> str:
    return f"subscription:{row.subscription}"


def _is_ours(obj: StoredObject, reader: str, manifest: ImportManifest) -> bool:
    """Return whether a seat was not given before the import began."""
    return obj.seats.get(reader, 0) >= manifest.created_at * 1000
