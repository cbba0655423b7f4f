"""The frozen `Catalogue` of a file in which nothing is wrong, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.catalogue import (
    DAY,
    HOUR,
    Catalogue,
    FailurePolicy,
    GrantPolicy,
    MeterPolicy,
    Offer,
    Plan,
    RetentionPolicy,
    Rule,
    Tier,
)


def catalogue_of(policy: dict[str, Any]) -> Catalogue:
    """`policy` is what `PolicyTable` loads: every key there, every type right."""
    zone = ZoneInfo(policy["site"]["timezone"])
    confirm = policy["grants"]["confirm_above"]
    plans = policy["grants"]["plans"]
    kept = policy["retention"]
    made = Catalogue(
        site_name=policy["site"]["name"],
        zone=zone,
        origins=tuple(policy["site"]["origins"]),
        story_url=policy["site"]["story_url"],
        features=policy["features"],
        plans={name: Plan(id=name, **_frozen(plan)) for name, plan in policy["plans"].items()},
        tiers={name: Tier(name=name, **_frozen(tier)) for name, tier in policy["tiers"].items()},
        default_tier=policy["defaults"]["tier"],
        rules=tuple(Rule(**_frozen(rule)) for rule in policy["rules"]),
        meters={name: _meter(name, meter, zone) for name, meter in policy["meters"].items()},
        offers={name: _offer(name, offer) for name, offer in policy["offers"].items()},
        failure=FailurePolicy(**policy["failure"]),
        grants=GrantPolicy(
            plans=None if plans is None else tuple(plans),
            longest=policy["grants"]["longest"],
            confirm_readers=confirm["readers"],
            confirm_length=confirm["length"],
        ),
        retention=RetentionPolicy(
            history=kept["history_days"] * DAY,
            audit=None if kept["audit_days"] is None else kept["audit_days"] * DAY,
        ),
        livemode=policy["stripe"]["livemode"],
        leeway=policy["stripe"]["leeway_hours"] * HOUR,
    )
    return replace(made, revision=revision_of(policy))


def revision_of(policy: dict[str, Any]) -> str:
    """12 hex digits of BLAKE2b over what the file means, the same on every machine.

    Comments, layout, the order of keys and defaults written out change nothing. The order of features, plans and offers
    does: readers see them in it, and the first offer stands in where none is named after the feature. How long the past is
    kept and where stories are decides nothing, and is left out.
    """
    decides = {name: table for name, table in policy.items() if name != "retention"}
    decides["site"] = {name: value for name, value in policy["site"].items() if name != "story_url"}
    meaning = decides | {name: list(policy[name].items()) for name in ("features", "plans", "offers")}
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _meter(name: str, meter: dict[str, Any], zone: ZoneInfo) -> MeterPolicy:
    window, length = meter["window"]
    return MeterPolicy(name, meter["visitors"], meter["readers"], window, zone, length)


def _offer(name: str, offer: dict[str, Any]) -> Offer:
    links = tuple((link["text"], link["url"]) for link in offer["links"])
    return Offer(id=name, **(_frozen(offer) | {"links": links}))
