"""Count the active entitlements by plan, and the subscriptions that are past due, from the lists of what the store holds.

The worker counts once an hour. The store has indexes of Stripe objects, of the ends of grants and of what providers report,
so no scan is needed. Each run counts from zero: that is right however many processes write, and includes what expires without
a write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.adapters.batches import batched
from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.providers.provider_sources import ProviderSources
from service.adapters.redis.reporting.usage_counts import UsageBucket, UsageStore
from service.domain.sources import Standing, Subscription
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.projections import copies_by_holder

GAUGE, PAST_DUE = "g", "due"
SINGLE = ""
"""In place of a plan's name: single features, from a grant or from Stripe's Entitlements."""
_BATCH = 100


@dataclass(frozen=True)
class EntitlementCounts:
    """Counts entitlements. Raises: StoreUnavailable from every method; the count is then dropped."""

    processor: EventProcessor
    ends: GrantEndIndex
    sources: ProviderSources
    store: UsageStore

    def iterate_steps(self, now: float) -> Iterator[None]:
        """Count in small steps, so that the worker can do other work between them, and store the figures at the end."""
        counts: Counter[str] = Counter()
        past_due = 0
        seen: set[str] = set()
        for names in self.processor.pending_work.iterate_objects():
            fresh = [name for name in names if name not in seen]
            seen.update(fresh)
            for batch in batched(fresh, _BATCH):
                past_due += self._objects(batch, counts, now)
                yield
        for page in self.ends.iterate_active(now):
            for ending in page:
                if ending.grant not in seen:
                    seen.add(ending.grant)
                    counts[ending.plan or SINGLE] += 1
            yield
        for provider in self.processor.catalogue.providers:
            for entries in self.sources.iterate(provider):
                sources = [entry.as_source(provider, name) for name, entry in entries.items()]
                counts.update(source.plan for source in sources if source.is_running_at(now))
                yield
        bucket = UsageBucket.at(now, self.processor.catalogue.zone)
        self.store.write_gauge(GAUGE, counts, bucket, now)
        self.store.write_gauge(PAST_DUE, {"": past_due}, bucket, now)

    def run(self, now: float) -> None:
        for _ in self.iterate_steps(now):
            continue

    def _objects(self, names: Sequence[str], counts: Counter[str], now: float) -> int:
        """Add the entitlements of these objects to `counts`. Return how many subscriptions are past due, in grace."""
        past_due = 0
        for stored in self.processor.objects.load_all(names):
            for source in copies_by_holder(stored, stored.owner).values():
                holdings = source.holdings(self.processor.catalogue) if source is not None else ()
                counts.update(holding.plan or SINGLE for holding in holdings if holding.is_active_at(now))
                is_own = isinstance(source, Subscription) and source.role == "subscription"
                past_due += is_own and any(one.standing_at(now) is Standing.GRACE for one in holdings)
        return past_due
