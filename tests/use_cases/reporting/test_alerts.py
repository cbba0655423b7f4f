"""Test alerts: they appear when found and disappear when fixed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest
from service.adapters.redis.stripe_objects.inbox import EventResult
from service.domain.catalogue import DAY
from service.domain.sources import Grant
from service.use_cases.subscriptions.catch_up import CatchUpResult
from service.use_cases.subscriptions.full_sync import Drift, FullSyncResult
from tests.running_service import POLICY
from tests.stripe_fixtures import SECRET, Made, sign

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.running_service import Serve
    from tests.store_servers import Until

NOON = "2082-11-24T12:00:00Z"
KINDS = [
    "dead_letters", "unknown_prices", "ownerless", "second_trials", "event_gap", "catch_up_late",
    "snapshot_late", "snapshot_refused", "drift", "clock", "store_memory", "grants_ending",
]  # fmt: skip


@pytest.fixture
def app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    made = make_app(valkey_url, STRIPE_WEBHOOK_SECRETS=SECRET)
    made.clock.at(NOON)
    return made


def attention(app: InProcessApp) -> dict[str, Any]:
    answer = app.call("GET", "/v1/attention", admin=True)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    assert [item["kind"] for item in found["items"]] == KINDS
    return found


def item(app: InProcessApp, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in attention(app)["items"] if one["kind"] == kind)
    return found


def ids(app: InProcessApp, kind: str) -> tuple[int, list[str]]:
    found = item(app, kind)
    return found["count"], [example["id"] for example in found["examples"]]


def subscription(
    app: InProcessApp, name: str, price: str = "price_month", reader: str | None = "r", **more: Any
) -> Any:
    now = int(app.clock())
    metadata = {"reader_id": reader} if reader else {}
    made = Made.subscription(**{"id": name, "customer": f"cus_{name}", "created": now, "metadata": metadata, **more})
    made["items"]["data"][0] |= {
        "price": {"id": price, "lookup_key": None, "product": "prod_of_nobody"},
        "current_period_start": now,
        "current_period_end": now + 30 * DAY,
    }
    return made


def deliver(app: InProcessApp, event: str, obj: Any, created: float | None = None) -> None:
    """Deliver an event with this ID that reports the object as updated, or the session as completed."""
    kind = {"subscription": "customer.subscription.updated", "checkout.session": "checkout.session.completed"}
    app.deliver(Made.event(kind[obj["object"]], obj, id=event, created=int(created or app.clock())))


def test_attention_lists_every_kind_as_fine_when_all_is_well(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1"))
    found = attention(app)
    assert [(one["count"], one["needs_hand"], one["examples"]) for one in found["items"]] == [(0, False, [])] * len(
        KINDS
    )
    assert (found["at"], found["needs_hand"]) == (NOON, False)
    assert all(one["title"] and one["advice"] and one["where"] for one in found["items"])


def test_store_that_is_filling_up_needs_attention(make_app: MakeApp, launch: Any, until: Until) -> None:
    server = launch()
    app = make_app(server.url)
    server.admin().config_set("maxmemory", "1mb")
    until(lambda: app.service.store.link.memory().is_filling)
    found = item(app, "store_memory")
    assert (found["count"], found["needs_hand"]) == (1, True)
    assert "of 1 MB is in use" in found["examples"][0]["text"]


def test_grants_ending_within_fourteen_days_are_listed_soonest_first(app: InProcessApp) -> None:
    soon = app.grant("a", until="2082-12-08T12:00:00Z")
    sooner = app.grant("b", until="2082-11-25T00:00:00Z")
    app.grant("c", until="2082-12-08T12:00:01Z")
    app.grant("d")
    body = item(app, "grants_ending")
    assert (body["count"], body["needs_hand"]) == (2, False)
    assert body["examples"] == [
        {"id": sooner["id"], "reader": "b", "at": "2082-11-25T00:00:00Z", "text": "vip"},
        {"id": soon["id"], "reader": "a", "at": "2082-12-08T12:00:00Z", "text": "vip"},
    ]
    app.clock.at("2082-11-25T00:00:00Z")
    assert ids(app, "grants_ending") == (2, [soon["id"], ids(app, "grants_ending")[1][1]])


def test_extended_or_revoked_grant_is_not_listed_as_ending(app: InProcessApp) -> None:
    given = [app.grant(reader, until="2082-11-30T00:00:00Z")["id"] for reader in "abc"]
    for reader, grant, until in [("a", given[0], None), ("b", given[1], "2083-01-01T00:00:00Z")]:
        change = {"until": until, "reason": "goes on"}
        assert app.call("PATCH", f"/v1/readers/{reader}/grants/{grant}", change, admin=True).status_code == 200
    app.call("DELETE", f"/v1/readers/c/grants/{given[2]}?reason=over", admin=True)
    assert ids(app, "grants_ending") == (0, [])


def test_shortened_grant_is_listed_as_ending(app: InProcessApp) -> None:
    given = app.grant("a")["id"]
    app.call("PATCH", f"/v1/readers/a/grants/{given}", {"until": "2082-11-30T00:00:00Z", "reason": "x"}, admin=True)
    assert ids(app, "grants_ending") == (1, [given])


def test_grant_to_a_reader_who_is_merged_meanwhile_is_listed_as_ending(app: InProcessApp) -> None:
    now, ada = app.clock(), Actor("ada")
    app.service.subscription_admin.merge_readers("r-new", "r-old", ada, now)
    # The request had resolved the reader before the merge.
    wanted = GrantRequest("vip", (), "why", int(now), int(now) + DAY)
    given = app.service.grants.create("r-old", wanted, ada, now)
    assert [grant.id for grant in app.service.grants.list_for_reader("r-new")] == [given.id]
    assert item(app, "grants_ending")["examples"][0]["reader"] == "r-new"


def test_crash_between_list_and_record_hides_no_ending_grant(app: InProcessApp) -> None:
    given = app.grant("a", until="2083-06-01T00:00:00Z")
    (grant,) = app.service.grants.list_for_reader("a")
    ends, end = app.service.grant_ends, int(app.clock()) + 3 * DAY
    shorter = Grant(grant.id, "vip", (), "why", grant.start, end, "ann", grant.created_at)
    ends.announce("a", shorter)  # Simulate a crash before a change to an earlier end was written.
    ends.announce("ghost", Grant("gr_ghost", "vip", (), "why", grant.start, end, "ann", grant.created_at))
    assert ends.count(app.clock(), end) == 2
    assert ids(app, "grants_ending") == (0, [])
    assert ends.count(app.clock(), end) == 0
    assert [e.grant for page in ends.iterate_active(app.clock()) for e in page] == [given["id"]]


def test_ended_grant_leaves_the_list(app: InProcessApp) -> None:
    app.grant("a", until="2082-11-25T00:00:00Z")
    app.grant("b")
    ends = app.service.grant_ends
    app.clock.now += 2 * DAY
    assert [ends.prune(app.clock()), ends.prune(app.clock())] == [1, 0]
    assert [e.reader for page in ends.iterate_active(app.clock()) for e in page] == ["b"]


def test_ending_grants_of_an_import_are_listed_with_the_import(app: InProcessApp, until: Until) -> None:
    sheet = "reader,plan,until,reason\na,vip,2082-11-30T00:00:00Z,press\nb,vip,never,press\n"
    answer = app.call("POST", "/v1/grants/import", admin=True, data=sheet, content_type="text/csv")
    assert answer.status_code == 202, answer.text
    # A thread of the service does the same; the second one finds nothing left.
    until(lambda: app.service.imports.finish_all() >= 0 and item(app, "grants_ending")["count"] == 1)
    body = item(app, "grants_ending")
    assert (body["count"], body["examples"][0]["reader"]) == (1, "a")
    assert body["examples"][0]["text"] == f"vip, from import {answer.get_json()['id']}"


def test_unmapped_price_needs_action_until_a_plan_has_it(app: InProcessApp, make_app: MakeApp, valkey_url: str) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1", "price_of_nobody"))
    body = item(app, "unknown_prices")
    assert (body["count"], body["needs_hand"], body["where"]) == (1, True, "paywall.toml")
    assert body["examples"][0]["id"] == "price_of_nobody"
    assert body["examples"][0]["text"] == "product prod_of_nobody, in subscription:sub_1"
    mapped = make_app(
        valkey_url, POLICY.replace('prices = ["price_month"', 'prices = ["price_of_nobody", "price_month"')
    )
    mapped.clock.at(NOON)
    assert ids(mapped, "unknown_prices") == (0, [])


def test_unmapped_price_of_an_ended_subscription_needs_no_action(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1", "price_of_nobody"))
    over = subscription(app, "sub_1", "price_of_nobody", status="canceled", ended_at=int(app.clock()))
    app.clock.now += 60
    deliver(app, "evt_2", over)
    assert ids(app, "unknown_prices") == (0, [])


def test_unassigned_payment_needs_action_until_it_is_linked(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1", reader=None))
    body = item(app, "ownerless")
    assert (body["count"], body["needs_hand"]) == (1, True)
    assert (body["examples"][0]["id"], body["examples"][0]["text"]) == ("sub_1", "customer cus_sub_1")
    assert attention(app)["needs_hand"]
    answer = app.call("POST", "/v1/readers/r/links", {"subscription": "sub_1"}, admin=True)
    assert answer.status_code == 200, answer.text
    assert ids(app, "ownerless") == (0, [])
    assert not attention(app)["needs_hand"]


@pytest.mark.parametrize("order", [("sub_1", "sub_2"), ("sub_2", "sub_1")])
def test_second_trial_needs_action_until_it_ends(order: list[str], make_app: MakeApp, valkey_url: str) -> None:
    prices = 'prices = ["price_month", "price_year"]'
    app = make_app(valkey_url, POLICY.replace(prices, f"{prices}\ntrial_days = 14"), STRIPE_WEBHOOK_SECRETS=SECRET)
    app.clock.at(NOON)
    trials = {
        name: subscription(app, name, price, status="trialing", created=int(app.clock()) - age)
        for name, price, age in (("sub_1", "price_month", 60), ("sub_2", "price_year", 30))
    }
    deliver(app, "evt_other", subscription(app, "sub_3", reader="r-2", status="trialing"))
    for name in order:
        assert ids(app, "second_trials") == (0, [])
        deliver(app, f"evt_{name}", trials[name])
    (example,) = item(app, "second_trials")["examples"]
    assert (example["id"], example["reader"]) == ("sub_2", "r")
    assert app.service.state_metrics.read(app.clock())["paywall_second_trials"] == {"": 1}
    deliver(app, "evt_end", {**trials["sub_2"], "status": "canceled"})
    assert ids(app, "second_trials") == (0, [])
    assert app.service.state_metrics.read(app.clock())["paywall_second_trials"] == {"": 0}


def test_unassigned_pass_needs_action_until_it_expires(app: InProcessApp) -> None:
    """After that there is nothing to fix, even without a customer."""
    anonymous = {"customer": None, "client_reference_id": None, "metadata": {"price_id": "price_day"}}
    deliver(app, "evt_1", Made.session(**anonymous, created=int(app.clock())))
    app.clock.now += 24 * 3_600 - 1
    assert ids(app, "ownerless") == (1, ["cs_test_1"])
    app.clock.now += 1
    assert ids(app, "ownerless") == (0, [])
    assert not attention(app)["needs_hand"]


def test_pending_gift_and_unpaid_subscription_need_no_action(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1", reader=None, metadata={"gift": "pending"}))
    deliver(app, "evt_2", subscription(app, "sub_2", reader=None, status="incomplete"))
    assert ids(app, "ownerless") == (0, [])


def test_dead_letter_event_needs_action_until_replayed(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1"))
    inbox, name = app.service.event_processor.inbox, "subscription:sub_1"
    inbox.replay("evt_1", name, app.clock())
    for _ in range(10):
        inbox.record_failure(name, ["evt_1"], app.clock(), "failed: KeyError")
    body = item(app, "dead_letters")
    assert (body["count"], body["needs_hand"], body["where"]) == (1, True, "/v1/events")
    assert (body["examples"][0]["id"], body["examples"][0]["at"]) == ("evt_1", NOON)
    replayed = inbox.replay("evt_1", name, app.clock())
    inbox.finish(name, replayed.number, 0, [EventResult("evt_1", "applied")])
    assert ids(app, "dead_letters") == (0, [])


def test_late_events_found_by_catch_up_are_a_gap_for_a_day(app: InProcessApp) -> None:
    keep = app.service.maintenance
    keep.record_catch_up(CatchUpResult(listed=9, missed=4, prices=False, late=0))
    assert item(app, "event_gap")["count"] == 0
    keep.record_catch_up(CatchUpResult(listed=9, missed=4, prices=False, late=3))
    keep.record_catch_up(CatchUpResult(listed=9, missed=2, prices=False, late=2))
    assert (item(app, "event_gap")["count"], item(app, "event_gap")["needs_hand"]) == (5, True)
    app.clock.now += DAY + 1
    assert item(app, "event_gap")["count"] == 0


def test_drift_found_by_a_full_sync_is_listed_until_one_finds_none(app: InProcessApp) -> None:
    keep = app.service.maintenance
    drift = [Drift("a", "differs", True), Drift("b", "differs", False), Drift("c", "unknown", True)]
    keep.record_full_sync(FullSyncResult(drift=drift))
    body = item(app, "drift")
    assert (body["count"], body["examples"][0]["text"]) == (3, "2 differs, 1 unknown; 1 not corrected")
    keep.record_full_sync(FullSyncResult())
    assert item(app, "drift")["count"] == 0


def test_events_from_the_future_report_our_clock_as_behind(app: InProcessApp) -> None:
    deliver(app, "evt_1", subscription(app, "sub_1"), created=app.clock() + 30)
    assert item(app, "clock")["count"] == 0
    deliver(app, "evt_2", subscription(app, "sub_2"), created=app.clock() + 90)
    assert (item(app, "clock")["count"], item(app, "clock")["examples"][0]["text"]) == (1, "at least 90 s behind")


def test_signed_delivery_that_is_too_old_reports_our_clock_as_ahead(app: InProcessApp) -> None:
    def send(signature: str) -> str:
        answer = app.client.post("/v1/stripe/webhook", data=b"{}", headers={"Stripe-Signature": signature})
        assert answer.status_code == 400
        return str(answer.get_json()["detail"])

    forged = sign(b"other", at=int(app.clock()) - 3_600)
    assert "bad_signature" in send(forged)
    assert item(app, "clock")["count"] == 0
    assert "3600 s ago by the clock of this machine" in send(sign(b"{}", at=int(app.clock()) - 3_600))
    shown = item(app, "clock")
    assert (shown["count"], shown["examples"][0]["text"]) == (1, "3600 s ahead, or deliveries arrive as late")
    assert "(too_old" in send(sign(b"{}", at=-(10**30)))


def test_deliveries_are_in_the_activity_figures(app: InProcessApp) -> None:
    for _ in range(2):
        deliver(app, "evt_1", subscription(app, "sub_1"), created=app.clock() - 3)
    app.service.usage_counters.flush()
    (today,) = app.call("GET", "/v1/activity?days=1", admin=True).get_json()["days"]
    assert sum(one["count"] for one in today["webhooks"]) == 2
    assert today["delay"] == {"events": 1, "mean": 3.0, "half_within": 5, "most_within": 5}


def test_stripe_subscriptions_are_counted_by_plan(app: InProcessApp) -> None:
    for number in range(3):
        deliver(app, f"evt_{number}", subscription(app, f"sub_{number}", reader=f"r{number}"))
    deliver(app, "evt_9", subscription(app, "sub_9", reader="r9", status="canceled", ended_at=int(app.clock())))
    app.service.maintenance.run_all()
    (today,) = app.call("GET", "/v1/activity?days=1", admin=True).get_json()["days"]
    assert today["entitlements"] == [{"plan": "supporter", "count": 3}]


@pytest.mark.full
def test_digest_command_lists_every_kind_as_json_and_text(serve: Serve) -> None:
    paywall = serve(STRIPE_WEBHOOK_SECRETS=SECRET)
    quiet = paywall.command("digest")
    assert (quiet.returncode, "All clear" in quiet.stdout, "Soon" in quiet.stdout) == (0, True, False)
    assert paywall.command("digest", "--check").returncode == 0
    body = json.loads(paywall.command("digest", "--json").stdout)
    assert [one["kind"] for one in body["items"]] == KINDS
    assert paywall.command("digest", "--what").returncode == 2


@pytest.mark.full
def test_digest_check_exits_1_when_action_is_needed(serve: Serve) -> None:
    paywall = serve(STRIPE_WEBHOOK_SECRETS=SECRET)
    answer = paywall.get("/v1/attention").json()
    assert answer["needs_hand"] is False
    unknown = {"id": "price_x", "lookup_key": None, "product": "prod_x"}
    bought = Made.subscription(metadata={}, created=1_700_000_000)
    bought["items"]["data"][0] |= {"price": unknown, "current_period_end": 4_000_000_000}
    paywall.deliver(Made.event("customer.subscription.updated", bought))
    done = paywall.command("digest", "--check")
    assert done.returncode == 1
    assert "Needs attention\n  1 purchased price isn't in any plan" in done.stdout
    assert "- price_x, product prod_x, in subscription:sub_1" in done.stdout
    assert "- sub_1, 2023-11-14T22:13:20Z, customer cus_1" in done.stdout
    assert paywall.command("digest").returncode == 0


def test_snapshot_that_is_late_or_refused_is_listed_until_the_next(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url, POLICY + '[providers.paper]\nname = "Paper"\nexpected_every = "1d"\n')
    app.clock.at(NOON)

    def send(*rows: str) -> int:
        body = "\n".join(["id,reader,plan,until", *rows])
        path = "/v1/providers/paper/snapshot"
        answer = app.call("PUT", path, admin=True, content_type="text/csv", data=body)
        app.service.imports.finish_all()
        return answer.status_code

    assert item(app, "snapshot_late")["examples"][0]["text"] == "no snapshot yet"
    assert send("1,r-1,vip,", "2,r-2,vip,") == 202
    assert (ids(app, "snapshot_late"), ids(app, "snapshot_refused")) == ((0, []), (0, []))
    assert send("1,r-1,vip,") == 409
    found = item(app, "snapshot_refused")
    assert (found["count"], found["examples"][0]["text"]) == (1, "would end 1 of 2 running subscriptions")
    levels = {one.subject: one.level for one in app.service.doctor.findings()}
    assert (levels["providers.paper"], levels["providers.print"]) == ("wrong", "good")
    app.clock.now += DAY + 1
    assert ids(app, "snapshot_late") == (1, ["paper"])
    figures = app.service.state_metrics.read(1.0)
    assert figures["paywall_provider_snapshot_refused"] == {"print": 0, "googleplay": 0, "appstore": 0, "paper": 1}
    assert figures["paywall_provider_snapshot_expected_seconds"] == {
        "print": 0,
        "googleplay": 0,
        "appstore": 0,
        "paper": DAY,
    }
    assert send("1,r-1,vip,", "2,r-2,vip,") == 202
    assert (ids(app, "snapshot_late"), ids(app, "snapshot_refused")) == ((0, []), (0, []))
    sent = app.service.state_metrics.read(1.0)["paywall_provider_snapshot_timestamp_seconds"]["paper"]
    assert sent == int(app.clock.now)
