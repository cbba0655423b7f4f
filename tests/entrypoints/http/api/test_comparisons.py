"""Test compare mode: what the incumbent showed beside our answer, counted, sampled and summed up, and no answer changed."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.reporting.comparison_samples import MOST, ComparisonSample, pack_sample
from tests.admin_app import ADMINS, SECRETS, Admins
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import story_of

DAY = 86_400
LOCKED = {"id": "s-locked", "tier": "supporters", "parts": ["facts", "notebook"]}


@pytest.fixture
def admins(make_app: MakeApp, valkey_url: str) -> Admins:
    return Admins(make_app(valkey_url, PAYWALL_ADMIN_KEYS=ADMINS, PAYWALL_SECRETS=SECRETS))


@pytest.fixture
def app(admins: Admins) -> InProcessApp:
    return admins.app


def write(app: InProcessApp) -> None:
    """Do what the background tasks do each second."""
    app.service.usage_counters.tick()
    app.service.comparisons.write_samples()


def summary(admins: Admins) -> dict[str, Any]:
    write(admins.app)
    return admins.call_json("ann", "GET", "/v1/comparisons/summary")


def samples(admins: Admins, **query: Any) -> dict[str, Any]:
    write(admins.app)
    return admins.call_json("ann", "GET", "/v1/comparisons", query_string=query)


@pytest.mark.parametrize("hot", [True, False])
def test_differences_are_counted_sampled_and_explained(admins: Admins, app: InProcessApp, hot: bool) -> None:
    app.grant("r-1")

    def ask(reader: str, incumbent: str) -> dict[str, Any]:
        body = {"story": LOCKED, "reader": reader, "incumbent": incumbent}
        answer = app.call("POST", "/v1/access", body, hot=hot)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    for incumbent in ("full", "full", "upsell"):
        last = ask("r-1", incumbent)
    locked = ask("r-2", "full")
    ask("r-2", "upsell")
    assert summary(admins) == {
        "compared": 5,
        "agreed": 3,
        "by_reason": [
            {"ours": "full", "theirs": "upsell", "reason": "grant", "count": 1},
            {"ours": "upsell", "theirs": "full", "reason": "no_entitlement", "count": 1},
        ],
    }
    found = samples(admins)
    assert found["next"] is None
    assert [item["decision_id"] for item in found["items"]] == [locked["decision_id"], last["decision_id"]]
    assert (
        found["items"][0].items()
        >= {
            "ours": "upsell",
            "theirs": "full",
            "reason": "no_entitlement",
            "story": "s-locked",
        }.items()
    )
    opened = admins.call_json("ann", "GET", f"/v1/decisions/{locked['decision_id']}")
    assert (opened["reader"], opened["at"]) == ("r-2", found["items"][0]["at"])
    metrics = app.client.get("/metrics").text
    assert 'paywall_comparisons_total{ours="full",reason="grant",theirs="upsell"} 1.0' in metrics
    assert 'paywall_comparisons_total{ours="upsell",reason="no_entitlement",theirs="full"} 1.0' in metrics
    assert 'theirs="full"} 2' not in metrics


@pytest.mark.parametrize("hot", [True, False])
def test_incumbent_never_changes_an_answer(app: InProcessApp, hot: bool) -> None:
    """Of two readers who are alike one is compared: through a whole meter and beyond both get the same answers."""
    for reader in ("plain-vip", "compared-vip"):
        app.grant(reader)
    for kind in ("vip", "reader"):
        for number in range(14):
            asked = {"story": story_of(f"s-{number // 2}"), "count": number % 2 == 1}
            plain, compared = (
                app.call("POST", "/v1/access", {**asked, "reader": f"{name}-{kind}", **more}, hot=hot).get_json()
                for name, more in [("plain", {}), ("compared", {"incumbent": ("full", "upsell")[number % 3 == 0]})]
            )
            for answer in (plain, compared):
                assert answer.pop("decision_id")
                if answer["source"]:
                    answer["source"].pop("id")
            assert str(compared).replace("compared-", "plain-") == str(plain)


@pytest.mark.parametrize("hot", [True, False])
def test_incumbent_of_another_type_is_422(app: InProcessApp, hot: bool) -> None:
    story = story_of("s-1")
    for wrong in ("Full", "locked", "", 1, True, False, ["full"], {"show": "full"}):
        answer = app.call("POST", "/v1/access", {"story": story, "incumbent": wrong}, hot=hot)
        assert answer.status_code == 422, wrong
        assert answer.get_json()["errors"] == [{"field": "incumbent", "message": "must be full or upsell"}]
    assert app.call("POST", "/v1/access", {"story": story, "incumbent": None}, hot=hot).status_code == 200
    twice = b'{"story": {"id": "s"}, "incumbent": "full", "incumbent": "upsell"}'
    answer = app.call("POST", "/v1/access", hot=hot, data=twice, content_type="application/json")
    assert answer.status_code == 400
    for body in ({"stories": [story], "incumbent": "full"}, {"stories": [{**story, "incumbent": "full"}]}):
        answer = app.call("POST", "/v1/access/batch", body, hot=hot)
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["field"].endswith("incumbent")


def test_samples_are_paged_newest_first_and_end_after_seven_days(admins: Admins, app: InProcessApp) -> None:
    begun = app.clock.now
    for number in range(5):
        app.clock.now = begun + number
        app.ask({**LOCKED, "id": f"s-{number}"}, reader="r-1", incumbent="full")
    app.ask(story_of("s-free", section="public-safety"), visitor="v-1", incumbent="upsell")
    first = samples(admins, limit=4)
    second = samples(admins, limit=4, after=first["next"])
    stories = [item["story"] for item in first["items"] + second["items"]]
    assert set(stories[:2]) == {"s-free", "s-4"}
    assert stories[2:] == ["s-3", "s-2", "s-1", "s-0"]
    assert second["next"] is None
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": "x"}, {"other": 1}, {"after": "Y29tcGFyaXNvbnM6eA"}):
        assert admins.call("ann", "GET", "/v1/comparisons", query_string=wrong).status_code == 422
    assert admins.call("ann", "GET", "/v1/comparisons/summary", query_string={"days": 3}).status_code == 422
    app.clock.now = begun + 7 * DAY + 2.5
    assert {item["story"] for item in samples(admins)["items"]} == {"s-free", "s-3", "s-4"}
    app.clock.now = begun + 8 * DAY
    assert samples(admins)["items"] == []
    assert summary(admins) == {"compared": 0, "agreed": 0, "by_reason": []}


def test_comparisons_as_csv_have_no_formula(admins: Admins, app: InProcessApp) -> None:
    app.ask({**LOCKED, "id": "=1+1"}, reader="r-1", incumbent="full")
    write(app)
    text = admins.call("ann", "GET", "/v1/comparisons", headers={"Accept": "text/csv"}).text
    header, row = text.splitlines()
    assert header == "at,decision_id,ours,theirs,reason,story"
    assert row.endswith(",upsell,full,no_entitlement,'=1+1")


def test_sample_of_an_erased_reader_opens_nothing(admins: Admins, app: InProcessApp) -> None:
    answer = app.ask(LOCKED, reader="zoe-7f31", incumbent="full")
    app.grant("zoe-7f31")
    write(app)
    admins.call_json("ann", "DELETE", "/v1/readers/zoe-7f31", query_string={"reason": "asked"})
    (left,) = samples(admins)["items"]
    assert left["decision_id"] == answer["decision_id"]
    assert admins.call("ann", "GET", f"/v1/decisions/{left['decision_id']}").status_code == 404


def test_store_keeps_the_last_thousand_samples(app: InProcessApp) -> None:
    kept, now = app.service.comparisons.samples, app.clock.now
    members = [
        pack_sample(ComparisonSample(now - number, None, "full", "upsell", "free", f"s-{number}"))
        for number in range(MOST + 5)
    ]
    kept.add(members[: MOST // 2], now)
    kept.add(members, now)
    found, after = kept.load_page(100, None, now)
    while after is not None:
        page, after = kept.load_page(100, after, now)
        found += page
    assert [sample.story for sample in found] == [f"s-{number}" for number in range(MOST)]


def test_degraded_answers_are_compared_and_written_after_the_outage(make_app: MakeApp, launch: Any, until: Any) -> None:
    server = launch()
    admins = Admins(make_app(server.url, PAYWALL_ADMIN_KEYS=ADMINS, PAYWALL_SECRETS=SECRETS, patience=0.2))
    app = admins.app
    app.ask(LOCKED, reader="r-1", incumbent="upsell")
    server.freeze()
    assert app.ask(LOCKED, reader="r-2", incumbent="upsell")["degraded"]
    server.thaw()
    until(lambda: app.service.store.link.available)
    found = summary(admins)
    assert (found["compared"], found["agreed"]) == (2, 1)
    assert found["by_reason"] == [{"ours": "full", "theirs": "upsell", "reason": "store_unavailable", "count": 1}]
    assert samples(admins)["items"][0]["reason"] == "store_unavailable"
