"""What must fit together in `paywall.toml`: names that are used are defined, nothing is sold twice, every tier opens.

This reads the file as it was written and steps over what has the wrong shape, which `tables` has already said: so
mistakes of both kinds are listed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from service.settings.policy.mistakes import closest, key_shown, quoted

Found = Iterator[tuple[str, str]]
"""Pairs of place and message."""


def misfits(document: dict[str, Any]) -> Found:
    """Every name that leads nowhere, every price or product sold twice, every tier that nothing can open."""
    features, plans = _table(document, "features"), _table(document, "plans")
    tiers, meters = _table(document, "tiers"), _table(document, "meters")
    for place, plan in _tables(document, "plans"):
        yield from _all_known(f"{place}.features", plan.get("features"), "features", features)
    for place, tier in _tables(document, "tiers"):
        yield from _all_known(f"{place}.requires", tier.get("requires"), "features", features)
        yield from _known(f"{place}.meter", tier.get("meter"), "meters", meters)
    for number, rule in enumerate(_list(document.get("rules"))):
        yield from _known(f"rules.{number}.tier", _dict(rule).get("tier"), "tiers", tiers)
    yield from _known("defaults.tier", _table(document, "defaults").get("tier"), "tiers", tiers)
    for place, offer in _tables(document, "offers"):
        yield from _all_known(f"{place}.benefits", offer.get("benefits"), "features", features)
        yield from _all_known(f"{place}.plans", offer.get("plans"), "plans", plans)
    yield from _all_known("grants.plans", _table(document, "grants").get("plans"), "plans", plans)
    yield from _sold_twice(document, "prices")
    yield from _sold_twice(document, "products")
    yield from _closed_tiers(document)


def _known(place: str, name: object, table: str, known: Iterable[str]) -> Found:
    if isinstance(name, str) and name not in known:
        yield place, f"there is no {quoted(name)} in [{table}]{closest(name, known)}"


def _all_known(place: str, names: object, table: str, known: Iterable[str]) -> Found:
    for number, name in enumerate(_list(names)):
        yield from _known(f"{place}.{number}", name, table, known)


def _sold_twice(document: dict[str, Any], key: str) -> Found:
    """A price or product in two plans (twice in one list is `Items`' to refuse)."""
    seller: dict[str, str] = {}
    for place, plan in _tables(document, "plans"):
        for number, price in enumerate(_list(plan.get(key))):
            if isinstance(price, str) and seller.setdefault(price, place) != place:
                yield (
                    f"{place}.{key}.{number}",
                    f"{quoted(price)} is sold by {seller[price]} already: one plan only may have it",
                )


def _closed_tiers(document: dict[str, Any]) -> Found:
    """Decision: a tier opens if one of its features is in any plan, for every plan can at least be granted by an admin,
    or if its meter lets anybody read at all. Features granted singly, or held by Stripe's Entitlements, do not count:
    a tier that only they open is far more often a slip, and a plan without a price is all that it takes to mean it.
    """
    plans = [plan for _, plan in _tables(document, "plans")]
    if not plans or not all(isinstance(plan.get("features"), list) for plan in plans):
        return  # What the plans give is not known, and that was said already.
    given = {name for plan in plans for name in _texts(plan.get("features"))}
    for place, tier in _tables(document, "tiers"):
        required = _texts(tier.get("requires"))
        unknown = [name for name in required if name not in _table(document, "features")]
        if required and not unknown and given.isdisjoint(required) and not _lets_read(document, tier.get("meter")):
            yield (
                place,
                f"nothing can open it: no plan has {' or '.join(map(quoted, required))}, and no meter lets one in",
            )


def _lets_read(document: dict[str, Any], name: object) -> bool:
    """Whether the meter has a free story for anybody; one with mistakes of its own is given the benefit of doubt."""
    if name is None:
        return False
    meter = _table(document, "meters").get(name) if isinstance(name, str) else None
    return not isinstance(meter, dict) or meter.get("visitors") != 0 or meter.get("readers") != 0


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    return _dict(document.get(key))


def _tables(document: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((f"{key}.{key_shown(name)}", _dict(table)) for name, table in _table(document, key).items())


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]
