"""Decisions, readers and grants as the contract's JSON. Thin: nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from service.domain.catalogue import Catalogue, Offer, Tier
from service.domain.decision import Decision, explain
from service.domain.meter import MeterStanding as MeterStanding
from service.domain.sources import Grant, Holding
from service.domain.times import write_time
from service.use_cases.access.check import Answer

TIMES = frozenset({"until", "resets_at", "at", "from"})
"""Names under which an explanation's values are moments."""


Prices = Callable[[], Mapping[str, Sequence[Mapping[str, Any]]]]
"""Plan → its prices as Stripe tells them; empty where no key is set or nothing is known yet."""


class Encoder:
    """Writes answers under one catalogue. `seal` makes decision ids, `prices` tells what plans cost."""

    def __init__(self, catalogue: Catalogue, seal: Callable[[Answer], str | None], prices: Prices) -> None:
        self._catalogue = catalogue
        self._seal = seal
        self._prices = prices

    def access(self, answer: Answer, *, explained: bool = False) -> dict[str, Any]:
        """The answer of `/v1/access`."""
        decision = answer.decision
        source = decision.source
        return {
            "decision_id": self._seal(answer),
            "show": decision.show,
            "reason": decision.reason.value,
            "tier": decision.tier,
            "parts": {part: "open" if opened else "locked" for part, opened in decision.parts},
            "features": [name for name, _ in decision.held],
            "source": {"type": source.type, "id": source.id, "plan": source.plan} if source else None,
            "until": write_time(source.until) if source else None,
            "meter": meter(decision.meter) if decision.meter else None,
            "offer": self._offer(answer.tier) if decision.show == "upsell" else None,
            "refresh_after": write_time(decision.refresh_after),
            "degraded": decision.degraded,
            "explain": steps(decision, answer.tier) if explained else None,
        }

    def _offer(self, tier: Tier) -> dict[str, Any] | None:
        offer = self._catalogue.offer_for(tier)
        return offer_box(self._catalogue, offer, self._prices()) if offer else None


def offer_box(catalogue: Catalogue, offer: Offer, prices: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What the upsell box shows."""
    plans = [
        {"id": name, "name": catalogue.plans[name].name, "prices": list(prices.get(name, ()))} for name in offer.plans
    ]
    return {
        "id": offer.id,
        "heading": offer.heading,
        "benefits": [catalogue.features[name] for name in offer.benefits],
        "button": offer.button,
        "plans": plans,
        "links": [{"text": text, "url": url} for text, url in offer.links],
    }


def meter(standing: MeterStanding) -> dict[str, Any]:
    """A meter in an answer."""
    return {
        "name": standing.name,
        "limit": standing.limit,
        "used": standing.used,
        "left": standing.left,
        "counted": standing.counted,
        "resets_at": write_time(standing.resets_at),
    }


def steps(decision: Decision, tier: Tier) -> list[dict[str, Any]]:
    """The ladder, with moments written out."""
    return [{**step, "values": timed(step["values"])} for step in explain(decision, tier)]


def timed(values: Any) -> Any:
    """The values of a step, with its moments written out."""
    if isinstance(values, dict):
        return {
            name: write_time(value) if name in TIMES and isinstance(value, int | float) else timed(value)
            for name, value in values.items()
        }
    return [timed(value) for value in values] if isinstance(values, list) else values


def grant(given: Grant, reader: str, now: float) -> dict[str, Any]:
    """A grant as admins see it."""
    return {
        "id": given.id,
        "reader": reader,
        "plan": given.plan,
        "features": list(given.features),
        "reason": given.reason,
        "from": write_time(given.start),
        "until": write_time(given.until),
        "status": given.status_at(now),
        "actor": given.actor,
        "created_at": write_time(given.created_at),
        "import": given.import_id,
    }


def source(holding: Holding, now: float) -> dict[str, Any]:
    """A source as admins see it."""
    return {
        "type": holding.type,
        "id": holding.id,
        "plan": holding.plan,
        "features": list(holding.features),
        "status": holding.status_at(now),
        "standing": holding.standing_at(now).value,
        "from": write_time(holding.start),
        "until": write_time(holding.until),
        "ending": holding.ending,
        "confirmed": holding.confirmed,
        # Of a grant why an admin gave it, of all else the reason code that it opens a story with.
        "reason": holding.note if holding.type == "grant" else holding.reason and holding.reason.value,
        "actor": holding.actor,
    }


def reader(
    name: str,
    features: Iterable[tuple[str, Holding]],
    holdings: Iterable[Holding],
    customers: Iterable[str],
    meters: Iterable[MeterStanding],
    now: float,
) -> dict[str, Any]:
    """A reader as admins see her."""
    held = [
        {"feature": feature, "until": write_time(holding.until), "source": holding.key} for feature, holding in features
    ]
    return {
        "reader": name,
        "access": bool(held),
        "features": held,
        "sources": [source(holding, now) for holding in holdings],
        "customers": list(customers),
        "meters": [
            {"name": m.name, "limit": m.limit, "used": m.used, "left": m.left, "resets_at": write_time(m.resets_at)}
            for m in meters
        ],
    }
