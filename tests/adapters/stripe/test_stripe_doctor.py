"""What the doctor says, and what of it needs a hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.adapters.stripe.events import HANDLED_TYPES
from service.adapters.stripe.gateway import Account, Gateway, WebhookEndpoint
from service.domain.catalogue import Catalogue
from service.domain.prices import PriceTag
from service.use_cases.operations.stripe_findings import Finding, Observed, findings

NOW = 1_793_491_200
GOOD = WebhookEndpoint(
    "we_1", "https://pay.example.news/v1/stripe/webhook", True, False, "2026-10-28.endive", HANDLED_TYPES
)


def tag(name: str, interval: str | None = "month", **changes: Any) -> PriceTag:
    return replace(PriceTag(name, None, 500, "usd", interval, None, True), **changes)


PRICES = {
    "price_month": tag("price_month", product="prod_supporter"),
    "price_year": tag("price_year", "year"),
    "price_day": tag("price_day", None),
    "price_seat_month": tag("price_seat_month"),
}
WELL = Observed(Account("acct_1", "The Daily Ledger", 0.4), [GOOD], PRICES, list(PRICES.values()), NOW, NOW)


def wrong(seen: Observed, catalogue: Catalogue) -> list[Finding]:
    return [finding for finding in findings(seen, catalogue) if finding.level == "wrong"]


def test_where_all_is_well_nothing_needs_a_hand(catalogue: Catalogue) -> None:
    assert {finding.level for finding in findings(WELL, catalogue)} == {"good"}


ILLS: list[tuple[dict[str, Any], str, str]] = [
    ({"endpoints": []}, "endpoint", "no webhook endpoint leads to /v1/stripe/webhook"),
    ({"endpoints": [replace(GOOD, url="https://other.example/hook")]}, "endpoint", "https://other.example/hook"),
    ({"endpoints": [replace(GOOD, enabled=False)]}, "endpoint", "is disabled"),
    ({"endpoints": [replace(GOOD, livemode=True)]}, "mode", "is of live mode"),
    ({"endpoints": [replace(GOOD, types=("invoice.paid",))]}, "types", "customer.subscription.updated"),
    ({"configured": {**PRICES, "price_day": tag("price_day", "month")}}, "", ""),
    ({"configured": {"price_month": PRICES["price_month"]}}, "price", "Stripe knows no price price_year"),
    ({"configured": {**PRICES, "price_month": tag("price_month", None)}}, "price", "needs pass_hours"),
    ({"account": Account("acct_1", None, 400.0)}, "clock", "400 s ahead of"),
    ({"account": Account("acct_1", None, -61.0)}, "clock", "61 s behind"),
    ({"last_event": None}, "events", "none has come"),
    ({"last_event": NOW - 3_600}, "events", "2026-10-31T23:00:00Z"),
]


@pytest.mark.parametrize(("change", "subject", "message"), ILLS)
def test_each_ill_is_found_and_named(change: dict[str, Any], subject: str, message: str, catalogue: Catalogue) -> None:
    found = wrong(replace(WELL, **change), catalogue)
    if not subject:
        assert found == []
        return
    assert {finding.subject for finding in found} == {subject}
    assert message in " ".join(finding.message for finding in found)


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"endpoints": [replace(GOOD, api_version="2020-03-02")]}, "2020-03-02"),
    ({"endpoints": [replace(GOOD, api_version=None)]}, "the account's default"),
    ({"on_sale": [*PRICES.values(), tag("price_mug", None)]}, "price_mug is on sale at Stripe and belongs to no plan"),
    ({"configured": {**PRICES, "price_month": tag("price_month", active=False)}}, "archived"),
    ({"on_sale": [PRICES["price_year"]]}, "plans.supporter.products: Stripe has no price on sale of prod_supporter"),
    ({"account": Account("acct_1", None, 30.0)}, "30 s ahead"),
    ({"account": Account("acct_1", None, None)}, "did not say"),
]


@pytest.mark.parametrize(("change", "message"), NOTES)
def test_what_is_odd_but_works_is_noted(change: dict[str, Any], message: str, catalogue: Catalogue) -> None:
    seen = replace(WELL, **change)
    assert wrong(seen, catalogue) == []
    assert any(message in note.message for note in findings(seen, catalogue) if note.level == "note")


def test_an_endpoint_for_everything_lacks_nothing(catalogue: Catalogue) -> None:
    assert wrong(replace(WELL, endpoints=[replace(GOOD, types=("*",))]), catalogue) == []


def test_a_stripe_without_events_is_no_ill(catalogue: Catalogue) -> None:
    assert wrong(replace(WELL, last_event=None, newest_at_stripe=None), catalogue) == []


def test_the_last_event_that_came_is_told_also_where_stripe_lists_none(catalogue: Catalogue) -> None:
    seen = replace(WELL, newest_at_stripe=None)
    assert findings(seen, catalogue)[-1].message == "the last event that came is of 2026-11-01T00:00:00Z"


def test_it_is_all_asked_of_stripe(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    strict.ask("POST", "/webhook_endpoints", {"url": "http://127.0.0.1:9/v1/stripe/webhook", "secret": "whsec_1"})
    seen = Observed(
        gateway.account(),
        gateway.webhook_endpoints(),
        gateway.prices([word for plan in catalogue.plans.values() for word in plan.prices]),
        gateway.active_prices(),
        None,
        gateway.newest_event(),
    )
    assert wrong(seen, catalogue) == []
