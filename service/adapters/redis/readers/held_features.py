"""What a reader holds now, for the cache of recent entitlements."""

from __future__ import annotations

from service.adapters.redis.readers.readers import Readers
from service.domain.catalogue import Catalogue
from service.domain.decision import Held, resolve_entitlements


def load_held(readers: Readers, catalogue: Catalogue, reader: str, now: float) -> Held:
    """Return the features that a reader holds, with their ends. Raises: StoreUnavailable."""
    holdings = [holding for source in readers.load_active(reader) for holding in source.holdings(catalogue)]
    return resolve_entitlements(holdings, catalogue.features, now).held
