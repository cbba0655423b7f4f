"""The policies by which decisions were made, by revision, so that a decision can be told in the words of its own policy.

Kept once a revision, not once a decision: `[1, last used, document]`. The document is the whole policy, as `policy_document`
writes it; what is read of it again are the tiers, the order of the features, and what says until when sources hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import urandom
from typing import Any

import msgspec

from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.domain.catalogue import Catalogue, Plan, Tier

SCHEMA = 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode


@dataclass(frozen=True, slots=True)
class RecordedPolicy:
    """Of a policy, what a decision is told by."""

    features: tuple[str, ...]
    tiers: Mapping[str, Tier]
    plans: Mapping[str, Plan]
    leeway: int

    def over(self, catalogue: Catalogue) -> Catalogue:
        """The policy in force with what this one said of sources: how they are told by it."""
        return replace(catalogue, features=dict.fromkeys(self.features, ""), plans=self.plans, leeway=self.leeway)


def recorded_policy(catalogue: Catalogue) -> RecordedPolicy:
    """Of the policy in force."""
    return RecordedPolicy(tuple(catalogue.features), catalogue.tiers, catalogue.plans, catalogue.leeway)


def policy_document(catalogue: Catalogue) -> dict[str, Any]:
    """A policy as plain data: what `paywall.toml` meant."""
    names = ("plans", "tiers", "meters", "offers")
    return {
        "site": {"name": catalogue.site_name, "timezone": str(catalogue.zone), "origins": list(catalogue.origins)},
        "features": list(catalogue.features.items()),
        "defaults": {"tier": catalogue.default_tier},
        "rules": [asdict(rule) for rule in catalogue.rules],
        **{name: {key: _plain(value) for key, value in getattr(catalogue, name).items()} for name in names},
        "failure": asdict(catalogue.failure),
        "grants": asdict(catalogue.grants),
        "stripe": {"livemode": catalogue.livemode, "leeway": catalogue.leeway},
    }


def _plain(value: Any) -> dict[str, Any]:
    return {name: part if name != "zone" else str(part) for name, part in asdict(value).items()}


class PolicyStore:
    """Keeps them. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._key = store.keys.shared("policies")
        self._known: dict[str, RecordedPolicy] = {}

    def save(self, catalogue: Catalogue, now: float) -> None:
        """Keeps the policy in force, and that it is in use."""
        record = _encode([SCHEMA, int(now), policy_document(catalogue)])
        self._link.call(self._key, b"HSET", self._key, catalogue.revision, record)

    def find(self, revision: str) -> RecordedPolicy | None:
        """The policy of a revision; `None` if it was never kept, or is gone."""
        if revision not in self._known:
            kept = self._link.call(self._key, b"HGET", self._key, revision)
            if kept is None:
                return None
            schema, _, document = _decode(kept)
            if schema != SCHEMA:
                return None
            tiers = {
                name: Tier(name, tuple(tier["requires"]), tuple(tier["open_parts"]), tier["meter"])
                for name, tier in document["tiers"].items()
            }
            plans = msgspec.convert(document["plans"], dict[str, Plan])
            features = tuple(name for name, _ in document["features"])
            self._known[revision] = RecordedPolicy(features, tiers, plans, document["stripe"]["leeway"])
        return self._known[revision]

    def prune(self, before: float) -> int:
        """Drops policies that nobody has used since. Gives how many."""
        kept = field_pairs(self._link.call(self._key, b"HGETALL", self._key))
        old = [revision for revision, record in kept if _decode(record)[1] < before]
        if old:
            self._link.call(self._key, b"HDEL", self._key, *old)
        return len(old)


class DecisionOverflow:
    """Keeps sealed texts by a random name."""

    def __init__(self, store: Store, seconds: int) -> None:
        self._link = store.link
        self._keys = store.keys
        self._seconds = seconds

    def save(self, sealed: str) -> str:
        """Keeps a text and gives its name."""
        name = urandom(12).hex()
        key = self._keys.shared(f"decision:{name}")
        self._link.call(key, b"SET", key, sealed, b"EX", self._seconds)
        return name

    def load(self, name: str) -> str | None:
        """The text of a name; `None` when it is gone."""
        key = self._keys.shared(f"decision:{name}")
        kept = self._link.call(key, b"GET", key)
        return bytes(kept).decode() if kept is not None else None
