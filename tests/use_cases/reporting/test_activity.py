"""Test the usage counters over the whole app, on Valkey and Redis 8."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from service.adapters.redis.readers.readers import write_of
from service.adapters.redis.reporting.usage_counts import UsageBatch, UsageBucket
from service.domain.catalogue import DAY, Story
from service.domain.sources import Item, Subscription
from service.use_cases.access.check import AccessQuestion

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp
    from tests.store_servers import Launch

NOON = "2082-11-24T12:00:00Z"


def figures(app: InProcessApp, days: int = 30) -> dict[str, Any]:
    assert app.service.usage_counters.flush()
    answer = app.call("GET", f"/v1/activity?days={days}", admin=True)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def checks(point: dict[str, Any]) -> dict[str, int]:
    return {f"{one['show']} {one['reason']}": one["count"] for one in point["checks"]}


def subscription(app: InProcessApp, status: str = "active", name: str = "sub_1", **more: Any) -> Subscription:
    now = int(app.clock())
    item = Item("price_month", None, None, 1, now, now + 30 * DAY)
    return Subscription(name, status, (item,), more.pop("created", now), **more)


def begins(app: InProcessApp, reader: str, number: int = 1, **more: Any) -> None:
    source = subscription(app, **more)
    app.service.readers.write(reader, write_of(source, number, ended=False, now=app.clock(), cause="event:evt"))


def test_checks_are_counted_by_answer_reason_local_day_and_hour(service_app: InProcessApp) -> None:
    service_app.clock.at("2082-11-24T04:59:00Z")
    for story in "abc":
        service_app.ask(story, visitor="v")
    assert service_app.service.usage_counters.flush()
    service_app.clock.at("2082-11-24T05:00:00Z")
    service_app.ask("d", visitor="v", count=False)
    found = figures(service_app, 2)
    assert found["zone"] == "America/New_York"
    assert [(day["when"], checks(day), day["upsells"]) for day in found["days"]] == [
        ("2082-11-23", {"full metered": 2, "upsell meter_used_up": 1}, 1),
        ("2082-11-24", {"upsell meter_used_up": 1}, 0),
    ]
    hours = {hour["when"]: checks(hour) for hour in found["hours"] if hour["checks"]}
    assert hours == {
        "2082-11-24T04:00:00Z": {"full metered": 2, "upsell meter_used_up": 1},
        "2082-11-24T05:00:00Z": {"upsell meter_used_up": 1},
    }
    assert len(found["hours"]) == 48


def test_days_without_activity_are_listed_as_empty(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    found = figures(service_app)
    assert [len(found["days"]), found["days"][0]["when"], found["days"][-1]["when"]] == [30, "2082-10-26", "2082-11-24"]
    assert found["days"][0] == {
        "when": "2082-10-26",
        "checks": [],
        "upsells": 0,
        "upsell_readers": 0,
        "begun": 0,
        "entitlements": [],
        "webhooks": [],
        "delay": {"events": 0, "mean": None, "half_within": None, "most_within": None},
        "started": 0,
        "canceled": 0,
        "past_due": None,
    }
    assert found["upsell"] == {
        "begun": 0, "readers": 0, "share": None, "low": None, "high": None, "within_days": 7,
    }  # fmt: skip


def locked(app: InProcessApp, *readers: str) -> None:
    for reader in readers:
        app.ask({"id": "s", "tier": "supporters"}, reader=reader)


def test_subscription_within_seven_days_of_the_box_counts_once(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    locked(service_app, *"abcd", "a", "a")
    figures(service_app)
    service_app.clock.now += 3 * DAY
    begins(service_app, "a")
    begins(service_app, "stranger", name="sub_2")
    begins(service_app, "a", name="sub_3")
    figures(service_app)
    service_app.clock.now += 5 * DAY
    begins(service_app, "b", name="sub_4")
    found = figures(service_app)
    assert (found["upsell"]["readers"], found["upsell"]["begun"], found["upsell"]["share"]) == (4, 1, 0.25)
    assert 0 < found["upsell"]["low"] < 0.25 < found["upsell"]["high"] < 1
    assert [day["begun"] for day in found["days"] if day["begun"]] == [1]


@pytest.mark.parametrize("status", ["incomplete", "past_due", "canceled", "unpaid", "paused", "a_new_word"])
def test_only_a_status_that_gives_access_counts_as_begun(valkey_app: InProcessApp, status: str) -> None:
    valkey_app.clock.at(NOON)
    locked(valkey_app, "r")
    figures(valkey_app)
    begins(valkey_app, "r", status=status)
    assert figures(valkey_app)["upsell"]["begun"] == 0
    begins(valkey_app, "r", 2, status="active")
    assert figures(valkey_app)["upsell"]["begun"] == 1


def test_renewal_seat_gift_and_old_subscription_do_not_count_as_begun(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)
    begins(valkey_app, "r")
    locked(valkey_app, "other", "third", "fourth")
    figures(valkey_app)
    begins(valkey_app, "r", 2)
    begins(valkey_app, "other", role="seat")
    begins(valkey_app, "third", role="gift")
    begins(valkey_app, "fourth", created=int(valkey_app.clock()) - 8 * DAY)
    assert figures(valkey_app)["upsell"]["begun"] == 0


def test_uncounted_check_shows_no_box_and_visitors_are_not_counted(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)
    valkey_app.ask({"id": "s", "tier": "supporters"}, reader="r", count=False)
    valkey_app.call("POST", "/v1/access/batch", {"reader": "r", "stories": [{"id": "s", "tier": "supporters"}]})
    valkey_app.ask({"id": "s", "tier": "supporters"}, visitor="v")
    (today,) = figures(valkey_app, 1)["days"]
    assert (checks(today), today["upsells"], today["upsell_readers"]) == ({"upsell no_entitlement": 3}, 1, 0)


def test_batch_of_counts_sent_twice_counts_once(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    store, now = service_app.service.usage_counters.store, service_app.clock()
    day = date(2026, 11, 24)
    part = UsageBatch(
        1, {UsageBucket(day, int(now) // 3600): {"c:full:free": 3}}, [(b"tag", int(now))], [(b"tag", int(now))]
    )
    assert [store.add_batch("p", part, day, now), store.add_batch("p", part, day, now)] == [True, False]
    assert store.load_days([day]) == [{"c:full:free": 3, "shown_readers": 1, "begun": 1}]
    assert store.add_batch("another", part, day, now)
    assert store.load_days([day])[0]["c:full:free"] == 6


def test_many_readers_are_sent_in_small_batches(service_app: InProcessApp) -> None:
    now = service_app.clock.at(NOON)
    answer = service_app.service.access_check.check(AccessQuestion(Story("s", tier="supporters"), "r"), now)
    for number in range(1_100):
        asked = replace(answer.question, reader=f"r{number}")
        service_app.service.usage_counters.count_answer(replace(answer, question=asked))
    (today,) = figures(service_app, 1)["days"]
    assert (today["upsells"], today["upsell_readers"]) == (1_100, 1_100)


def test_outage_loses_no_counts(launch: Launch, make_app: MakeApp) -> None:
    store = launch("valkey", tcp=True)
    app = make_app(store.url)
    app.clock.at(NOON)
    app.ask("a", visitor="v")
    store.end()
    assert not app.service.usage_counters.flush()
    for _ in range(3):
        app.ask("a", visitor="v")
    assert not app.service.usage_counters.flush()
    store.start()
    assert app.service.store.link.wait(60)
    (today,) = figures(app, 1)["days"]
    assert sum(checks(today).values()) == 4


def test_stored_counts_are_bounded_and_expire(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    locked(service_app, "r")
    begins(service_app, "r")
    service_app.service.usage_counters.count_delivery("done", 3.0)
    figures(service_app)
    link = service_app.service.store.link
    keys = [key for page in link.scan_nodes(b"pw:{activity}*") for key in page]
    kept = {bytes(key).rpartition(b"}")[2][:1]: link.call(key, b"EXPIRETIME", key) for key in keys}
    assert set(kept) == {b"d", b"h", b"p"}, "the mark of the reader who subscribed is gone with the subscription"
    assert kept[b"d"] == int(service_app.clock()) + 400 * DAY
    assert 0 < kept[b"h"] <= int(service_app.clock()) + 51 * 3600


def test_webhook_deliveries_are_counted_with_their_delay(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    activity = service_app.service.usage_counters
    for delay in [0.4] * 12 + [4.0] * 7 + [100.0]:
        activity.count_delivery("done", delay)
    activity.count_delivery("repeat")
    (today,) = figures(service_app, 1)["days"]
    assert today["webhooks"] == [{"outcome": "done", "count": 20}, {"outcome": "repeat", "count": 1}]
    assert today["delay"] == {"events": 20, "mean": 6.64, "half_within": 1, "most_within": 5}


def test_entitlements_are_counted_by_plan_as_of_now(service_app: InProcessApp) -> None:
    service_app.clock.at(NOON)
    keep = service_app.service.maintenance
    for reader, until in [("a", None), ("b", "2082-11-25T12:00:00Z"), ("c", "2082-12-25T12:00:00Z")]:
        service_app.grant(reader, until=until)
    service_app.grant("d", features=["no_ads"])
    later = {"from": "2082-12-01T00:00:00Z"}
    service_app.grant("e", **later)
    keep.run_all()
    (today,) = figures(service_app, 1)["days"]
    assert today["entitlements"] == [{"plan": None, "count": 1}, {"plan": "vip", "count": 3}]
    service_app.clock.now += 2 * DAY
    keep.run_all()
    found = figures(service_app, 3)
    assert [day["entitlements"] for day in found["days"]][1:] == [
        [],
        [{"plan": None, "count": 1}, {"plan": "vip", "count": 2}],
    ]


def test_started_canceled_and_past_due_subscriptions_are_counted(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)
    begins(valkey_app, "a")
    begins(valkey_app, "b", name="sub_2")
    begins(valkey_app, "b", 2, name="sub_2", status="past_due")
    begins(valkey_app, "b", 3, name="sub_2", status="canceled")
    begins(valkey_app, "c", name="sub_3", status="paused")
    begins(valkey_app, "seated", role="seat")
    valkey_app.clock.now += DAY
    begins(valkey_app, "a", 2, status="unpaid")
    begins(valkey_app, "a", 3, status="canceled")
    valkey_app.service.maintenance.run_all()
    first, second = figures(valkey_app, 2)["days"]
    assert [(day["started"], day["canceled"], day["past_due"]) for day in (first, second)] == [(2, 1, None), (0, 1, 0)]


def test_activity_is_sent_as_csv_when_accepted(valkey_app: InProcessApp) -> None:
    valkey_app.clock.at(NOON)
    valkey_app.ask("a", visitor="v")
    figures(valkey_app)
    answer = valkey_app.call("GET", "/v1/activity?days=1", admin=True, headers={"Accept": "text/csv"})
    assert answer.content_type == "text/csv; charset=utf-8; header=present"
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["day", "measure", "name", "value"]
    assert ["2082-11-24", "checks full", "metered", "1"] in rows
    assert ["2082-11-24", "upsells", "shown", "0"] in rows


@pytest.mark.parametrize("query", ["days=0", "days=401", "days=x", "days=", "days=1&days=2", "more=1", "days=1e1"])
def test_invalid_number_of_days_is_422(valkey_app: InProcessApp, query: str) -> None:
    assert valkey_app.call("GET", f"/v1/activity?{query}", admin=True).status_code == 422


def test_counting_from_many_threads_loses_nothing(valkey_app: InProcessApp, all_at_once: Any) -> None:
    valkey_app.clock.at(NOON)
    activity = valkey_app.service.usage_counters

    def count(_: int) -> None:
        for _ in range(2_000):
            activity.count_delivery("done")
        activity.flush()

    all_at_once(8, count)
    assert figures(valkey_app, 1)["days"][0]["webhooks"] == [{"outcome": "done", "count": 16_000}]
