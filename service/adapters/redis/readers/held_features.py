"""What a reader holds now, for the cache of recent entitlements."""

from __future__ import annotations

from service.adapters.recent_entitlements import Held
from service.adapters.redis.readers.readers import Readers
from service.domain.catalogue import Catalogue
from service.domain.decision import resolve_entitlements


def load_held(readers: Readers, catalogue: Catalogue, reader: str, now: float) -> Held:
    """Return the features that a reader holds, with their ends. Raises: StoreUnavailable."""
    sources = [kept.source for kept in readers.load_active(reader) if kept.source is not None]
    holdings = [holding for source in sources for holding in source.holdings(catalogue)]
    found = resolve_entitlements(holdings, catalogue.features, now).by_feature
    return tuple((name, holding.until) for name, holding in found.items())
