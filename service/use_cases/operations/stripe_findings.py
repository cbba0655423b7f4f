"""What `paywall doctor` says about Stripe: pure, over what the gateway answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.adapters.stripe.events import HANDLED_TYPES
from service.adapters.stripe.gateway import Account, WebhookEndpoint
from service.adapters.stripe.transport import API_VERSION
from service.domain.catalogue import Catalogue
from service.domain.prices import PriceTag
from service.domain.times import utc

WEBHOOK_PATH = "/v1/stripe/webhook"
CLOCK_TELLS = 10
CLOCK_HURTS = 60
"""Seconds that our clock may be off: signatures are refused from 300 on."""
LATE = 15 * 60
"""Seconds that the last event taken may lie behind the last one at Stripe."""

Level = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's. `wrong` needs a hand, and makes the exit status 1."""

    level: Level
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What was asked of Stripe, and of the store: `last_event`, `newest_at_stripe` are `created`, in epoch seconds."""

    account: Account
    endpoints: Sequence[WebhookEndpoint]
    configured: Mapping[str, PriceTag]
    """By the word of the configuration; what Stripe does not know is not there."""
    on_sale: Sequence[PriceTag]
    last_event: int | None
    newest_at_stripe: int | None


def findings(seen: Observed, catalogue: Catalogue) -> list[Finding]:
    """Everything worth saying, in a fixed order."""
    return [
        Finding("good", "account", f"the key belongs to {seen.account.name or seen.account.id}"),
        *_endpoints(seen.endpoints, catalogue),
        *_configured(seen.configured, catalogue),
        *_products(seen.on_sale, catalogue),
        *_on_sale(seen.on_sale, catalogue),
        _clock(seen.account.clock_ahead),
        _last_event(seen.last_event, seen.newest_at_stripe),
    ]


def _endpoints(endpoints: Sequence[WebhookEndpoint], catalogue: Catalogue) -> Iterator[Finding]:
    ours = [endpoint for endpoint in endpoints if endpoint.url.split("?")[0].rstrip("/").endswith(WEBHOOK_PATH)]
    if not ours:
        others = f"; registered are {', '.join(endpoint.url for endpoint in endpoints)}" if endpoints else ""
        mend = f"add one for https://…{WEBHOOK_PATH} in Stripe's Dashboard (Developers, Webhooks)"
        yield Finding("wrong", "endpoint", f"no webhook endpoint leads to {WEBHOOK_PATH}{others}: {mend}")
    for endpoint in ours:
        yield from _endpoint(endpoint, catalogue)


def _endpoint(endpoint: WebhookEndpoint, catalogue: Catalogue) -> Iterator[Finding]:
    where = endpoint.url
    if not endpoint.enabled:
        yield Finding(
            "wrong", "endpoint", f"{where} is disabled at Stripe: enable it, what it missed is caught up with"
        )
    if endpoint.livemode != catalogue.livemode:
        mode = "live" if endpoint.livemode else "test"
        yield Finding(
            "wrong", "mode", f"{where} is of {mode} mode, stripe.livemode says {str(catalogue.livemode).lower()}"
        )
    lacking = [] if "*" in endpoint.types else [name for name in HANDLED_TYPES if name not in endpoint.types]
    if lacking:
        yield Finding("wrong", "types", f"{where} is not told of {', '.join(lacking)}: add these event types")
    else:
        yield Finding("good", "types", f"{where} is told of everything that matters")
    version = endpoint.api_version or "the account's default"
    same = endpoint.api_version == API_VERSION
    note = "" if same else f"; understood too, {API_VERSION} is what this service asks for itself"
    yield Finding("good" if same else "note", "version", f"{where} sends events of API version {version}{note}")


def _configured(tags: Mapping[str, PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    for plan in catalogue.plans.values():
        for word in plan.prices:
            tag = tags.get(word)
            if tag is None:
                yield Finding("wrong", "price", f"plans.{plan.id}.prices: Stripe knows no price {word}")
            elif not tag.active:
                yield Finding("note", "price", f"plans.{plan.id}.prices: {word} is archived; who has it keeps it")
            elif not tag.recurring and not plan.pass_hours:
                yield Finding(
                    "wrong", "price", f"plans.{plan.id}.prices: {word} is paid once, so the plan needs pass_hours"
                )
            else:
                yield Finding("good", "price", f"plans.{plan.id}.prices: {word} is on sale")


def _products(tags: Sequence[PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    """A product may have been archived on purpose, or be misspelt: its prices open nothing that can be bought now."""
    sold = {tag.product for tag in tags}
    for plan in catalogue.plans.values():
        for product in plan.products:
            if product not in sold:
                yield Finding("note", "price", f"plans.{plan.id}.products: Stripe has no price on sale of {product}")


def _on_sale(tags: Sequence[PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    """Other goods may well be sold by the same account: no fault, but often a price that was forgotten."""
    for tag in tags:
        if catalogue.plan_for(tag.id, tag.lookup_key, tag.product) is None:
            yield Finding("note", "price", f"{tag.id} is on sale at Stripe and belongs to no plan: it opens nothing")


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return Finding("note", "clock", "Stripe did not say what time it is")
    off = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Stripe's"
    if abs(ahead) < CLOCK_TELLS:
        return Finding("good", "clock", "this machine's clock agrees with Stripe's")
    if abs(ahead) < CLOCK_HURTS:
        return Finding("note", "clock", f"this machine's clock is {off}")
    return Finding("wrong", "clock", f"this machine's clock is {off}: set it right, signatures are refused by it")


def _last_event(last: int | None, newest: int | None) -> Finding:
    if newest is None:
        none = Finding("good", "events", "Stripe has no event that concerns this service")
        return none if last is None else last_came(last)
    if last is None:
        mend = "is the endpoint's address reachable from outside, and its secret in STRIPE_WEBHOOK_SECRETS?"
        return Finding("wrong", "events", f"Stripe has events since {_time(newest)}, none has come: {mend}")
    if newest - last > LATE:
        return Finding("wrong", "events", f"the last event that came is of {_time(last)}, Stripe's of {_time(newest)}")
    return last_came(last)


def last_came(last: int | None) -> Finding:
    """The last event that was taken, where Stripe cannot say what it has."""
    if last is None:
        return Finding("note", "events", "no event has come yet")
    return Finding("good", "events", f"the last event that came is of {_time(last)}")


def _time(moment: int) -> str:
    return utc(moment)
