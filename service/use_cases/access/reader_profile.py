"""Everything that is known of a reader, at a moment: features, sources, customers, meters.

Now and in the future it is what holds if nothing changes; in the past it is what was known then, from the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.readers import Readers
from service.domain import meter as metering
from service.domain.catalogue import Catalogue
from service.domain.decision import resolve_entitlements
from service.domain.meter import MeterStanding
from service.domain.sources import Holding, Source
from service.domain.times import LAST_WINDOW


@dataclass(frozen=True, slots=True)
class Profile:
    """A reader at a moment. `features` are what is held, `holdings` everything known, the best first."""

    reader: str
    features: Sequence[tuple[str, Holding]]
    holdings: Sequence[Holding]
    customers: Sequence[str]
    meters: Sequence[MeterStanding]
    at: float


class Profiles:
    """Tells readers' profiles. `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, catalogue: Catalogue, store: Store, readers: Readers) -> None:
        self._catalogue = catalogue
        self._link = store.link
        self._readers = readers
        self.past = ReaderHistory(store)

    def of(self, reader: str, at: float | None, now: float) -> Profile:
        """Return the profile at a moment, or now for `None`; of a merged reader it is that of the reader who stays."""
        at = now if at is None else at
        name = self._readers.resolve_merged(reader)
        sources = self._sources(name, at, now)
        holdings = [holding for source in sources for holding in source.holdings(self._catalogue)]
        held = resolve_entitlements(holdings, self._catalogue.features, at)
        holdings.sort(key=lambda holding: (not holding.is_active_at(at), holding.type, holding.id, holding.plan or ""))
        return Profile(
            reader,
            tuple(held.by_feature.items()),
            holdings,
            self._readers.list_customers(name),
            self._standings(name, min(max(at, now), LAST_WINDOW)) if at >= int(now) else (),
            at,
        )

    def _sources(self, reader: str, at: float, now: float) -> list[Source]:
        # Whole seconds are what the contract writes, so a moment of this second is no past.
        if at < int(now):
            return self.past.sources_at(reader, at)
        return [kept.source for kept in self._readers.load_all(reader) if kept.source is not None]

    def _standings(self, reader: str, now: float) -> list[MeterStanding]:
        policies = list(self._catalogue.meters.values())
        if not policies:
            return []
        tag, keys = reader_hash(reader), self._readers.keys
        frames = [meters.frame_at(policy, now) for policy in policies]
        names = [keys.reader_meter(tag, frame.code) for frame in frames]
        values = self._link.read([(name, (b"GET", name)) for name in names])
        tallies = [meters.unpack(frame, value) for frame, value in zip(frames, values, strict=True)]
        return [
            metering.meter_standing(frame.policy, frame.policy.readers, tally.read, b"", frame.window)
            for frame, tally in zip(frames, tallies, strict=True)
        ]
