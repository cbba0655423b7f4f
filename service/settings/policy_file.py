"""Read `config/paywall.toml` into a `Catalogue`, or report every mistake in it at once, each with its place.

`policy_schema` checks the shape of the file. This module checks what must fit together (names are defined, nothing is sold
twice, every tier can open), and builds the frozen values.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from service.domain.catalogue import (
    DAY,
    HOUR,
    Catalogue,
    CheckoutPolicy,
    FailurePolicy,
    GrantPolicy,
    MeterPolicy,
    Offer,
    Plan,
    Provider,
    RetentionPolicy,
    Rule,
    Tier,
)
from service.settings.policy_schema import PolicyTable
from service.settings.validation import Mistake, key_shown, places, quoted, wrong_reference

FILE = "paywall.toml"
LARGEST = 1_048_576
"""Bytes. A policy is a page or two: a larger file is not one."""


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """The result of reading the file. `catalogue` is `None` if there are mistakes, `livemode` if it is not clear."""

    catalogue: Catalogue | None
    mistakes: tuple[Mistake, ...] = ()
    livemode: bool | None = None


def read_folder(folder: Path) -> PolicyReading:
    """Read `folder`/paywall.toml."""
    file = folder / FILE
    try:
        if folder.is_file():
            return _unreadable(f"{folder} is a file: name the folder in which {FILE} lies (PAYWALL_CONFIG)")
        if not folder.is_dir():
            return _unreadable(f"there is no folder {folder}: make it, or name another one in PAYWALL_CONFIG")
        if file.is_dir():
            return _unreadable(f"{file} is a folder, and must be a file")
        if not file.exists():
            return _unreadable(f"there is no such file in {folder}: write it, or name another folder in PAYWALL_CONFIG")
        # A pipe or a device is refused: reading one might never end.
        content = file.read_bytes() if file.is_file() and file.stat().st_size <= LARGEST else None
    except OSError as error:
        return _unreadable(f"{file} cannot be read: {error.strerror or 'the system refuses'}")
    if content is None:
        return _unreadable(f"{file} must be an ordinary file of at most 1 MiB")
    try:
        return read_text(content.decode("utf-8-sig"))  # Some editors put a byte order mark first.
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _unreadable(f"line {line} is not UTF-8: save the file in UTF-8")


def read_text(text: str) -> PolicyReading:
    """Read a policy from its TOML."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _unreadable(f"is not TOML: {_located(str(error), text)}")
    except ValueError:  # Python raises it, without a place, for a number of more than 4 300 digits.
        return _unreadable("is not a policy: a number in it has thousands of digits")
    except RecursionError:
        return _unreadable("is not a policy: brackets are nested too deep")
    found: list[tuple[str, str]] = []
    policy: dict[str, Any] = {}
    try:
        policy = PolicyTable().load(document)
    except ValidationError as error:
        found += places(error.messages)
    found += misfits(document)
    if found:
        return PolicyReading(
            None, tuple(Mistake(f"{FILE}: {place}", message) for place, message in found), _livemode(document)
        )
    return PolicyReading(catalogue_of(policy), (), policy["stripe"]["livemode"])


def _located(message: str, text: str) -> str:
    """Add the place: tomllib reports `(at line 3, column 7)`, except for a mistake that it finds at the end of the file."""
    lines = text.split("\n")
    end = f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the file"
    return message.replace("at end of document", end)


def _unreadable(message: str) -> PolicyReading:
    return PolicyReading(None, (Mistake(FILE, message),))


def _livemode(document: dict[str, Any]) -> bool | None:
    """Return `livemode` of a file with mistakes, so that the API key is checked against it at once."""
    stripe = document.get("stripe", {})
    livemode = stripe.get("livemode", False) if isinstance(stripe, dict) else None
    return livemode if isinstance(livemode, bool) else None


Misfits = Iterator[tuple[str, str]]
"""Pairs of place and message."""


def misfits(document: dict[str, Any]) -> Misfits:
    """Yield every undefined name, every price or product sold twice, and every tier that nothing can open.

    It reads the file as written and skips what has the wrong shape, which `PolicyTable` reports: so mistakes of both kinds
    are listed at once.
    """
    features, plans = _table(document, "features"), _table(document, "plans")
    tiers, meters, offers = (_table(document, name) for name in ("tiers", "meters", "offers"))
    for place, plan in _tables(document, "plans"):
        yield from _all_known(f"{place}.features", plan.get("features"), "features", features)
        for name in _dict(plan.get("meters")):
            yield from _known(f"{place}.meters.{key_shown(name)}", name, "meters", meters)
    for place, tier in _tables(document, "tiers"):
        yield from _all_known(f"{place}.requires", tier.get("requires"), "features", features)
        yield from _known(f"{place}.meter", tier.get("meter"), "meters", meters)
        yield from _known(f"{place}.offer", tier.get("offer"), "offers", offers)
        yield from _known(f"{place}.sign_in_offer", tier.get("sign_in_offer"), "offers", offers)
    for number, rule in enumerate(_list(document.get("rules"))):
        yield from _known(f"rules.{number}.tier", _dict(rule).get("tier"), "tiers", tiers)
    yield from _known("defaults.tier", _table(document, "defaults").get("tier"), "tiers", tiers)
    for place, offer in _tables(document, "offers"):
        yield from _all_known(f"{place}.benefits", offer.get("benefits"), "features", features)
        yield from _all_known(f"{place}.plans", offer.get("plans"), "plans", plans)
    yield from _all_known("grants.plans", _table(document, "grants").get("plans"), "plans", plans)
    yield from _sold_twice(document, "prices")
    yield from _sold_twice(document, "products")
    yield from _plans_of_nothing(document)
    yield from _closed_tiers(document)
    yield from _offers_of_nothing(document)


def _known(place: str, name: object, table: str, known: Iterable[str]) -> Misfits:
    if isinstance(name, str) and (wrong := wrong_reference(name, table, known)):
        yield place, wrong


def _all_known(place: str, names: object, table: str, known: Iterable[str]) -> Misfits:
    for number, name in enumerate(_list(names)):
        yield from _known(f"{place}.{number}", name, table, known)


def _sold_twice(document: dict[str, Any], key: str) -> Misfits:
    """Yield prices or products of two plans; `Items` refuses those that are twice in one list."""
    seller: dict[str, str] = {}
    for place, plan in _tables(document, "plans"):
        for number, price in enumerate(_list(plan.get(key))):
            if isinstance(price, str) and seller.setdefault(price, place) != place:
                yield (
                    f"{place}.{key}.{number}",
                    f"{quoted(price)} is sold by {seller[price]} already: one plan only may have it",
                )


def _plans_of_nothing(document: dict[str, Any]) -> Misfits:
    """Yield plans that have neither features nor limits of meters."""
    for place, plan in _tables(document, "plans"):
        if plan.get("features", []) == [] and plan.get("meters", {}) == {}:
            missing = 'is missing: add features = ["…"], names from [features]'
            yield f"{place}.features", f"{'must name at least one' if 'features' in plan else missing}, or add meters"


def _closed_tiers(document: dict[str, Any]) -> Misfits:
    """Yield tiers that nothing can open.

    A tier opens if a plan has one of its features, since an admin can grant every plan, or if its meter has a free story,
    for everyone or by a plan.
    Features granted one by one, or held by Stripe's Entitlements, do not count: a tier that only they open is usually a
    mistake, and a plan without a price makes it intended.
    """
    plans = [plan for _, plan in _tables(document, "plans")]
    if not plans or not all(isinstance(plan.get("features", []), list) for plan in plans):
        return  # The features of the plans are not known; `PolicyTable` reports that.
    given = {name for plan in plans for name in _texts(plan.get("features"))}
    for place, tier in _tables(document, "tiers"):
        required = _texts(tier.get("requires"))
        unknown = [name for name in required if name not in _table(document, "features")]
        if (
            required
            and not unknown
            and given.isdisjoint(required)
            and not _has_free_stories(document, tier.get("meter"))
        ):
            yield (
                place,
                f"nothing can open it: no plan has {' or '.join(map(quoted, required))}, and no meter lets one in",
            )


def _has_free_stories(document: dict[str, Any], name: object) -> bool:
    """Return whether the meter has a free story; assume so for a meter with mistakes of its own."""
    if name is None:
        return False
    meter = _table(document, "meters").get(name) if isinstance(name, str) else None
    by_plan = any(name in _dict(plan.get("meters")) for _, plan in _tables(document, "plans"))
    return by_plan or not isinstance(meter, dict) or meter.get("visitors") != 0 or meter.get("readers") != 0


def _offers_of_nothing(document: dict[str, Any]) -> Misfits:
    """Yield offers without plans that can be shown where signing in does not open the story."""
    tiers = [tier for _, tier in _tables(document, "tiers")]
    for_signing_in = {tier.get("sign_in_offer") for tier in tiers if isinstance(tier.get("sign_in_offer"), str)}
    for name, offer in _table(document, "offers").items():
        if not isinstance(offer, dict) or offer.get("plans", []) != []:
            continue
        sells = any(tier.get("offer", next(iter(_texts(tier.get("requires"))), None)) == name for tier in tiers)
        if sells or name not in for_signing_in:
            wrong = (
                "must name at least one" if "plans" in offer else 'is missing: add plans = ["…"], names from [plans]'
            )
            yield f"offers.{key_shown(name)}.plans", f"{wrong}; only an offer that is a sign_in_offer alone needs none"


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


def catalogue_of(policy: dict[str, Any]) -> Catalogue:
    """Build the catalogue from what `PolicyTable` loads: every key is present, every type is correct."""
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
        plans={
            name: Plan(id=name, **_frozen(plan | {"meters": list(plan["meters"].items())}))
            for name, plan in policy["plans"].items()
        },
        tiers={name: Tier(name=name, **_frozen(tier)) for name, tier in policy["tiers"].items()},
        default_tier=policy["defaults"]["tier"],
        rules=tuple(Rule(**_frozen(rule)) for rule in policy["rules"]),
        meters={name: _meter(name, meter, zone) for name, meter in policy["meters"].items()},
        offers={name: _offer(name, offer) for name, offer in policy["offers"].items()},
        providers={name: Provider(id=name, **provider) for name, provider in policy["providers"].items()},
        failure=FailurePolicy(**policy["failure"]),
        grants=GrantPolicy(
            plans=None if plans is None else tuple(plans),
            longest=policy["grants"]["longest"],
            confirm_readers=confirm["readers"],
            confirm_length=confirm["length"],
        ),
        checkout=CheckoutPolicy(**policy["checkout"]),
        retention=RetentionPolicy(
            history=kept["history_days"] * DAY,
            audit=None if kept["audit_days"] is None else kept["audit_days"] * DAY,
        ),
        livemode=policy["stripe"]["livemode"],
        leeway=policy["stripe"]["leeway_hours"] * HOUR,
        reader_metadata=tuple(policy["stripe"]["reader_metadata"]),
    )
    return replace(made, revision=revision_of(policy))


def revision_of(policy: dict[str, Any]) -> str:
    """Return 12 hex digits of BLAKE2b over the meaning of the file, the same on every machine.

    Comments, layout, the order of keys and explicit defaults do not change it. The order of features, plans and offers
    does: readers see them in that order, and the first offer is used where none has the feature's name. Retention, providers,
    Checkout with its trials, `reader_metadata` and `story_url` decide nothing, and are left out.
    """
    deciding = {name: table for name, table in policy.items() if name not in ("retention", "providers", "checkout")}
    deciding["plans"] = {
        plan: {key: value for key, value in table.items() if key != "trial_days"}
        for plan, table in policy["plans"].items()
    }
    deciding["stripe"] = {name: value for name, value in policy["stripe"].items() if name != "reader_metadata"}
    deciding["site"] = {name: value for name, value in policy["site"].items() if name != "story_url"}
    meaning = deciding | {name: list(deciding[name].items()) for name in ("features", "plans", "offers")}
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
