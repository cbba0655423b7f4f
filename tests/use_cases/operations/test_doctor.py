"""Test what the doctor reports about Stripe, and which findings require a fix."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from service.adapters.redis.client.memory import MemoryUse
from service.adapters.stripe.events import HANDLED_TYPES
from service.adapters.stripe.gateway import Account, Gateway, WebhookEndpoint
from service.domain.catalogue import Catalogue
from service.domain.prices import PriceTag
from service.use_cases.operations.doctor import StripeState, memory_finding, stripe_findings, version_findings
from service.use_cases.operations.findings import GUIDE, SECTIONS, Finding
from service.use_cases.operations.store_advisories import known_vulnerabilities
from stripe_lookalike import RunningLookalike
from tests.in_process_app import MakeApp
from tests.recorded_stripe import Maker
from tests.running_service import POLICY

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
WELL = StripeState(Account("acct_1", "The Daily Ledger", 0.4), [GOOD], PRICES, list(PRICES.values()), NOW, NOW)


def wrong(state: StripeState, catalogue: Catalogue) -> list[Finding]:
    return [finding for finding in stripe_findings(state, catalogue) if finding.level == "wrong"]


def test_correct_set_up_has_only_good_findings(catalogue: Catalogue) -> None:
    assert {finding.level for finding in stripe_findings(WELL, catalogue)} == {"good"}


WRONG: list[tuple[dict[str, Any], str, str]] = [
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
    ({"last_event": None}, "events", "the service received none"),
    ({"last_event": NOW - 3_600}, "events", "2026-10-31T23:00:00Z"),
]


@pytest.mark.parametrize(("change", "subject", "message"), WRONG)
def test_each_mistake_is_found_and_named(
    change: dict[str, Any], subject: str, message: str, catalogue: Catalogue
) -> None:
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
    ({"account": Account("acct_1", None, None)}, "has no time"),
]


@pytest.mark.parametrize(("change", "message"), NOTES)
def test_unusual_but_working_set_up_is_noted(change: dict[str, Any], message: str, catalogue: Catalogue) -> None:
    state = replace(WELL, **change)
    assert wrong(state, catalogue) == []
    assert any(message in note.message for note in stripe_findings(state, catalogue) if note.level == "note")


def test_endpoint_for_all_event_types_lacks_none(catalogue: Catalogue) -> None:
    assert wrong(replace(WELL, endpoints=[replace(GOOD, types=("*",))]), catalogue) == []


def test_account_without_events_is_not_wrong(catalogue: Catalogue) -> None:
    assert wrong(replace(WELL, last_event=None, newest_at_stripe=None), catalogue) == []


def test_last_event_is_reported_where_stripe_lists_none(catalogue: Catalogue) -> None:
    state = replace(WELL, newest_at_stripe=None)
    assert stripe_findings(state, catalogue)[-1].message == "the last event received is of 2026-11-01T00:00:00Z"


def test_state_is_read_from_stripe(gateway: Gateway, strict: Any, catalogue: Catalogue) -> None:
    strict.ask("POST", "/webhook_endpoints", {"url": "http://127.0.0.1:9/v1/stripe/webhook", "secret": "whsec_1"})
    state = StripeState(
        gateway.read_account(),
        gateway.list_webhook_endpoints(),
        gateway.find_prices([word for plan in catalogue.plans.values() for word in plan.prices]),
        gateway.list_active_prices(),
        None,
        gateway.find_newest_event(),
    )
    assert wrong(state, catalogue) == []


@pytest.mark.parametrize(("sold", "level"), [(True, "wrong"), (False, "note")])
def test_doctor_reports_missing_webhook_secret_as_wrong_when_selling(
    sold: bool, level: str, lookalike: RunningLookalike, make_app: MakeApp, valkey_url: str
) -> None:
    selling = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": lookalike.url} if sold else {}
    found = make_app(valkey_url, **selling).service.doctor.findings()
    (webhook,) = [finding for finding in found if finding.subject == "webhook"]
    assert webhook.level == level


def test_doctor_lists_subscriptions_that_name_nobody_with_their_metadata_keys(
    lookalike: RunningLookalike, strict: Any, make_app: MakeApp, valkey_url: str
) -> None:
    world, maker = lookalike.lookalike.world, Maker(cast(Any, None))
    metadata = [{"user_id": "u-1", "plan": "x"}, {"user_id": "u-2"}, {"reader_id": "r-1"}, {"gift": "pending"}, {}]
    for number, fields in enumerate(metadata):
        world.add(maker.subscription(f"sub_{number}", customer=f"cus_{number}", metadata=fields))
        world.add(maker.customer(f"cus_{number}", reader="r-4" if number == 4 else None))
    env = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": lookalike.url}

    def finding(policy: str) -> Finding:
        findings = make_app(valkey_url, policy, **env).service.doctor.findings()
        return next(one for one in findings if one.subject == "metadata")

    found = finding(POLICY)
    assert found.level == "note"
    assert "2 of the newest 1,000 subscriptions at Stripe name no reader by reader_id: sub_" in found.message
    assert "Their metadata has user_id (2), plan (1)." in found.message
    keys = 'reader_metadata = ["reader_id", "user_id"]'
    assert finding(f"{POLICY}\n[stripe]\n{keys}\n").level == "good"


VULNERABLE = [
    ("valkey", "9.1.2", []),
    ("valkey", "9.1.1", ["GHSA-fq2f-crmw-q97r"]),
    ("valkey", "9.1.0", ["CVE-2026-56684", "CVE-2026-63639", "GHSA-fq2f-crmw-q97r"]),
    ("valkey", "9.0.5", []),
    ("valkey", "8.1.3", ["CVE-2025-49844", "CVE-2026-21863", "CVE-2026-23479", "CVE-2026-56684"]),
    ("valkey", "9.2.0", []),
    ("redis", "8.10.1", []),
    ("redis", "8.2.1", ["CVE-2025-49844", "CVE-2026-23631", "CVE-2026-81934"]),
    ("redis", "8.0.6", ["CVE-2026-23479", "CVE-2026-81934"]),  # a line that got no later fix
    ("redis", "9.0.0", []),
]


@pytest.mark.parametrize(("server", "version", "names"), VULNERABLE)
def test_known_vulnerabilities_of_a_store_release_are_named(server: str, version: str, names: list[str]) -> None:
    known = known_vulnerabilities(server, version)
    assert set(names) <= set(known)
    assert bool(known) == bool(names)
    found = list(version_findings(server, version))
    assert [finding.level for finding in found] == ["note"] * bool(names)
    assert all(name in finding.message for name in names for finding in found)


def test_store_older_than_supported_is_wrong() -> None:
    assert "wrong" in {finding.level for finding in version_findings("redis", "7.0.15")}


@pytest.mark.parametrize(
    ("livemode", "own_store", "warned"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_doctor_warns_of_the_embedded_store_in_live_mode(
    livemode: bool, own_store: bool, warned: bool, make_app: MakeApp, valkey_url: str
) -> None:
    policy = POLICY + f"\n[stripe]\nlivemode = {str(livemode).lower()}\n"
    found = make_app(valkey_url, policy, **({} if own_store else {"REDIS_URL": ""})).service.doctor.findings()
    notes = [finding for finding in found if "the embedded store is for trying" in finding.message]
    assert [finding.level for finding in notes] == ["note"] * warned


def test_stripe_guide_lists_the_handled_events_and_has_the_sections_named() -> None:
    text = (Path(__file__).parents[3] / GUIDE).read_text()
    listed = re.search(r"```\n(customer\.subscription\.created\n.*?)```", text, re.DOTALL)
    assert listed is not None
    assert listed[1].split() == list(HANDLED_TYPES)
    headings = {line[3:].lower().replace(" ", "-") for line in text.splitlines() if line.startswith("## ")}
    assert set(SECTIONS.values()) <= headings


def test_finding_about_stripe_names_its_section_of_the_guide_unless_good() -> None:
    assert Finding("wrong", "endpoint", "missing").guide == "docs/how-to/stripe.md#the-webhook-endpoint"
    assert Finding("good", "endpoint", "there").guide is None
    assert Finding("wrong", "store", "unavailable").guide is None


@pytest.mark.parametrize(
    ("memory", "level", "message"),
    [
        (MemoryUse(2**20, 0), "note", "has no maxmemory"),
        (MemoryUse(79 * 2**20, 100 * 2**20), "good", "79% of 100 MB is in use"),
        (MemoryUse(80 * 2**20, 100 * 2**20), "wrong", "80% of 100 MB is in use, so new visitors are not counted"),
        (MemoryUse(3 * 2**30, 2 * 2**30), "wrong", "150% of 2,048 MB is in use"),
    ],
)
def test_doctor_reports_how_full_the_memory_is(memory: MemoryUse, level: str, message: str) -> None:
    found = memory_finding(memory, "maxmemory")
    assert (found.level, found.subject) == (level, "memory")
    assert message in found.message


def test_first_run_on_a_new_store_misses_no_secret(make_app: MakeApp, valkey_url: str) -> None:
    found = make_app(valkey_url, PAYWALL_SECRETS="s" * 40).service.doctor.findings()
    assert [finding.message for finding in found if finding.subject == "secrets"] == []


def test_doctor_reads_the_memory_of_the_store(make_app: MakeApp, launch: Any) -> None:
    found = make_app(launch(maxmemory="100mb").url).service.doctor.findings()
    (memory,) = [finding for finding in found if finding.subject == "memory"]
    assert (memory.level, "of 100 MB" in memory.message) == ("good", True)


def test_doctor_counts_what_a_removed_provider_still_gives(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url)
    for number, until in enumerate((None, "2083-01-01T00:00:00Z")):
        path = f"/v1/readers/r-1/external/print/{number}"
        assert app.call("PUT", path, {"plan": "supporter", "until": until}, admin=True).status_code == 200
    removed = make_app(valkey_url, POLICY.replace("[providers.print]", "[providers.paper]"))
    assert removed.reader("r-1")["access"]

    def found() -> list[tuple[str, str]]:
        subject = "providers.print"
        return [(one.level, one.message) for one in removed.service.doctor.findings() if one.subject == subject]

    ((level, message),) = found()
    assert (level, "(2 running)" in message) == ("wrong", True)
    removed.clock.at("2083-01-02T00:00:00Z")
    ((_, message),) = found()
    assert "(1 running)" in message
    path, rows = "/v1/providers/print/snapshot?force=true", b"id,reader,plan,until\n"
    sent = app.call("PUT", path, data=rows, admin=True, content_type="text/csv").get_json()
    app.service.imports.finish(sent["id"])
    assert found() == []
