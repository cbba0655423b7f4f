"""What a change does to a reader's entitlements: before and after, for the ledger and for the known of this machine."""

from __future__ import annotations

from collections.abc import Mapping

from service.adapters.redis.readers.readers import HoldingsCache
from service.domain.catalogue import Catalogue
from service.domain.decision import FOREVER, Entitlements, resolve_entitlements
from service.use_cases.subscriptions.owner_resolution import StoredReader

MOST_NOTED = 100
"""Readers noted with one event: a group's renewal changes thousands alike."""

Rows = list[tuple[str, int | None, str]]
"""Feature, end and source of each."""


class Entitled:
    """Works out what a hot record entitles to."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._holdings = HoldingsCache(catalogue)

    def by(self, hot: Mapping[bytes, bytes], now: float) -> Entitlements:
        return resolve_entitlements(self._holdings.holdings(hot), self._catalogue.features, now)

    def change(self, person: StoredReader, field: bytes, record: bytes | None, now: float) -> Change:
        """What putting this record (`None`: none that opens anything) under the field changes."""
        after = {name: value for name, value in person.hot.items() if name != field}
        if record is not None:
            after[field] = record
        return Change(rows(self.by(person.hot, now)), rows(self.by(after, now)))


class Change:
    """Entitlements before and after."""

    __slots__ = ("after", "before")

    def __init__(self, before: Rows, after: Rows) -> None:
        self.before = before
        self.after = after

    def __bool__(self) -> bool:
        return self.before != self.after

    @property
    def takes_away(self) -> bool:
        """Whether a feature is held no more, or not as long."""
        left = {name: _end(until) for name, until, _ in self.after}
        return any(name not in left or left[name] < _end(until) for name, until, _ in self.before)


def rows(entitlements: Entitlements) -> Rows:
    return [(name, holding.until, holding.key) for name, holding in entitlements.by_feature.items()]


def _end(until: int | None) -> float:
    return FOREVER if until is None else until
