"""From sources to entitlements: which features a reader holds at a moment, from what, until when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.domain.holdings import RANK, Holding

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What is held now: each feature with the holding that keeps it longest, and the next moment that this changes."""

    by_feature: dict[str, Holding]
    changes_at: int | None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of what is held, in the catalogue's order."""
        return tuple(self.by_feature)

    def opens(self, requires: Sequence[str]) -> bool:
        """Whether any of `requires` is held."""
        return any(name in self.by_feature for name in requires)

    def opener(self, requires: Sequence[str]) -> Holding | None:
        """Of the holdings that give any of `requires`, the one with the latest end; `None` if none does."""
        found = [self.by_feature[name] for name in requires if name in self.by_feature]
        return min(found, key=precedence) if found else None


def precedence(holding: Holding) -> tuple[float, int, str, str]:
    """Sorts the best first: the latest end (none is latest), then the order of reasons, then the id and the plan."""
    until = FOREVER if holding.until is None else holding.until
    return -until, RANK[holding.reason] if holding.reason else len(RANK), holding.id, holding.plan or ""


def resolve(holdings: Iterable[Holding], features: Iterable[str], now: float) -> Entitlements:
    """The features held at `now`, in the order of `features` (the catalogue's)."""
    best: dict[str, Holding] = {}
    ahead: list[int] = []
    for holding in holdings:
        if holding.gives_at(now):
            for name in holding.features:
                if name not in best or precedence(holding) < precedence(best[name]):
                    best[name] = holding
        elif holding.starts_after(now) and holding.start is not None:
            ahead.append(holding.start)
    ahead += [holding.until for holding in best.values() if holding.until is not None]
    held = {name: best[name] for name in features if name in best}
    return Entitlements(held, min(ahead, default=None))


NOTHING = Entitlements({}, None)
