"""What decision IDs refer to: the policies that decisions were made by, and sealed answers that are too long for an ID.

A policy is stored once a revision, not once a decision: `[1, last used, document]`. The document is the whole policy
(`policy_document`). Reading it back takes the tiers, the order of the features, and the rules for when sources end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import urandom
from typing import Any

import msgspec

from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.catalogue import Catalogue, Plan, Tier
from service.domain.errors import StoreUnavailable

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RecordedPolicy:
    """The part of a policy that explains a decision."""

    features: tuple[str, ...]
    tiers: Mapping[str, Tier]
    plans: Mapping[str, Plan]
    leeway: int

    def over(self, catalogue: Catalogue) -> Catalogue:
        """Return the catalogue in force with this policy's rules for sources."""
        return replace(catalogue, features=dict.fromkeys(self.features, ""), plans=self.plans, leeway=self.leeway)


def recorded_policy(catalogue: Catalogue) -> RecordedPolicy:
    """Return that part of the policy in force."""
    return RecordedPolicy(tuple(catalogue.features), catalogue.tiers, catalogue.plans, catalogue.leeway)


def policy_document(catalogue: Catalogue) -> dict[str, Any]:
    """Return a policy as plain data: the meaning of `paywall.toml`."""
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


class PolicyStore(StoreRecords):
    """Stores policies by revision. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._key = store.keys.shared("policies")
        self._known: dict[str, RecordedPolicy] = {}

    def save(self, catalogue: Catalogue, now: float) -> None:
        """Store the policy in force, and that it is in use."""
        record = encode_json([SCHEMA, int(now), policy_document(catalogue)])
        self._call(b"HSET", self._key, catalogue.revision, record)

    def find(self, revision: str) -> RecordedPolicy | None:
        """Return the policy of a revision, or `None` if it is unknown."""
        if revision not in self._known:
            kept = self._call(b"HGET", self._key, revision)
            if kept is None:
                return None
            schema, _, document = decode_list(kept)
            if schema != SCHEMA:
                return None
            tiers = msgspec.convert(document["tiers"], dict[str, Tier])
            plans = msgspec.convert(document["plans"], dict[str, Plan])
            features = tuple(name for name, _ in document["features"])
            self._known[revision] = RecordedPolicy(features, tiers, plans, document["stripe"]["leeway"])
        return self._known[revision]

    def prune(self, before: float) -> int:
        """Delete policies that were not used since `before` (epoch seconds), and return their number."""
        kept = field_pairs(self._call(b"HGETALL", self._key))
        old = [revision for revision, record in kept if decode_list(record)[1] < before]
        if old:
            self._call(b"HDEL", self._key, *old)
        return len(old)


class DecisionOverflow(StoreRecords):
    """Stores sealed answers that are too long for a decision ID, under a random name, for as long as IDs are valid.

    Only a request with many long names needs it; any other check writes nothing. Raises: StoreUnavailable.
    """

    def __init__(self, store: Store, seconds: int) -> None:
        super().__init__(store)
        self._seconds = seconds

    def save(self, sealed: str) -> str:
        """Store a text and return its name. A store that is filling up keeps none: any visitor causes them."""
        name = urandom(12).hex()
        key = self.keys.shared(f"decision:{name}")
        if self._link.memory_at(key).is_filling:
            raise StoreUnavailable("oom")
        self._call(b"SET", key, sealed, b"EX", self._seconds)
        return name

    def load(self, name: str) -> str | None:
        """Return the text of a name, or `None` if it has expired."""
        kept = self._call(b"GET", self.keys.shared(f"decision:{name}"))
        return kept.decode() if kept is not None else None
