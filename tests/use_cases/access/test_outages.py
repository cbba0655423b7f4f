"""Test checks while the store is unavailable: `[failure]` decides, known readers keep access, and it recovers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from service.bootstrap import STORE_TIMEOUT

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

Until = Callable[..., float]
ALL = ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]


def degraded(app: InProcessApp, story: str | dict[str, Any] = "a", **more: Any) -> dict[str, Any]:
    """Check access and return the degraded answer, whose other fields must be null."""
    answer = app.ask(story, **more)
    assert answer["degraded"] is True
    if answer["reason"] != "free":
        assert answer["reason"] == "store_unavailable"
    assert (answer["source"], answer["until"], answer["meter"]) == (None, None, None)
    assert (answer["offer"] is None) == (answer["show"] == "full")
    return answer


@pytest.fixture
def broken(make_app: MakeApp, launch: Any) -> tuple[InProcessApp, Any]:
    """Return an app that has seen an entitled reader, and its store, which the test ends."""
    store = launch("valkey")
    app = make_app(store.url)
    app.grant("entitled")
    app.grant("quiet", plan="quiet")
    app.ask("a", reader="entitled", count=False)
    app.call("POST", "/v1/access/batch", {"reader": "quiet", "stories": [{"id": "a"}]})
    return app, store


@pytest.mark.parametrize(("readers", "visitors"), [("full", "upsell"), ("upsell", "full")])
def test_failure_policy_decides_what_is_shown(
    make_app: MakeApp, launch: Any, policy: str, readers: str, visitors: str
) -> None:
    store = launch("valkey")
    failing = f'\n[failure]\nreaders = "{readers}"\nvisitors = "{visitors}"\n'
    app = make_app(store.url, policy + failing)
    store.end()
    for story in ("a", {"id": "x", "tier": "supporters"}, {"id": "x", "tier": "events"}):
        assert degraded(app, story, reader="r")["show"] == readers
        assert degraded(app, story, reader="r", visitor="v")["show"] == readers
        assert degraded(app, story, visitor="v")["show"] == visitors
        assert degraded(app, story)["show"] == visitors


def test_first_anonymous_request_follows_the_failure_policy(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    stories: list[dict[str, Any]] = [{"id": "x", "tier": "supporters"}, {"id": "x"}, {"id": "x", "tier": "signed_in"}]
    firsts = [(make_app(store.url), story, who) for story in stories for who in ({}, {"visitor": "v"})]
    store.end()
    for app, story, who in firsts:
        degraded(app, story, **who)


def test_free_story_stays_free_while_the_store_is_unavailable(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    store.end()
    for story in ({"id": "f", "tier": "free", "parts": ["all"]}, {"id": "f", "parts": ["facts"]}):
        answer = degraded(app, story, reader="r")
        assert (answer["show"], answer["reason"], set(answer["parts"].values())) == ("full", "free", {"open"})
        answer = app.ask(story, visitor="v")
        assert (answer["show"], answer["reason"]) == ("full", "free")


def test_open_parts_stay_open_while_the_store_is_unavailable(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    store.end()
    assert degraded(app, visitor="v")["parts"] == {"facts": "open", "notebook": "locked"}
    assert degraded(app, reader="r")["parts"] == {"facts": "open", "notebook": "open"}


def test_reader_seen_as_entitled_keeps_access_and_features(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    store.end()
    answer = degraded(app, reader="entitled")
    assert (answer["show"], answer["features"]) == ("full", ALL)
    assert degraded(app, {"id": "x", "tier": "events"}, reader="entitled")["show"] == "full"
    assert degraded(app, reader="quiet")["features"] == ["no_ads"], "a batch counts as seen"
    assert degraded(app, reader="stranger")["features"] == []


def test_features_never_come_from_the_failure_policy(make_app: MakeApp, launch: Any, policy: str) -> None:
    store = launch("valkey")
    app = make_app(store.url, policy + '\n[failure]\nreaders = "upsell"\n')
    app.grant("r", plan="quiet")
    app.grant("s")
    for reader in ("r", "s"):
        app.ask("a", reader=reader)
    store.end()
    answer = degraded(app, reader="r")
    assert (answer["show"], answer["features"]) == ("upsell", ["no_ads"])
    assert degraded(app, reader="s")["show"] == "full"


def test_known_entitlements_expire_after_known_for(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    store.end()
    seen = app.clock.now
    app.clock.now = seen + 24 * 3_600 - 1
    assert degraded(app, reader="entitled")["features"] == ALL
    app.clock.now = seen + 24 * 3_600
    assert degraded(app, reader="entitled")["features"] == []


def test_refresh_after_is_when_known_entitlements_expire(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    app.clock.at("2082-12-10T12:00:00Z")
    app.ask("a", reader="entitled")
    store.end()
    for story in ("a", {"id": "x", "tier": "free"}):
        assert degraded(app, story, reader="entitled")["refresh_after"] == "2082-12-11T12:00:00Z"
    assert degraded(app, reader="stranger")["refresh_after"] is None


def test_known_entitlements_end_with_the_grant(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    app = make_app(store.url)
    app.clock.at("2082-12-10T12:00:00Z")
    app.grant("r", until="2082-12-10T13:00:00Z")
    app.ask("a", reader="r")
    store.end()
    app.clock.at("2082-12-10T12:59:59Z")
    assert degraded(app, reader="r")["features"] == ALL
    app.clock.at("2082-12-10T13:00:00Z")
    assert degraded(app, reader="r")["features"] == []


def test_extended_grant_keeps_known_entitlements(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    app = make_app(store.url)
    app.clock.at("2082-12-10T12:00:00Z")
    grant = app.grant("r", until="2082-12-20T00:00:00Z")["id"]
    app.ask("a", reader="r")
    body = {"until": "2082-12-30T00:00:00Z", "reason": "x"}
    assert app.call("PATCH", f"/v1/readers/r/grants/{grant}", body, admin=True).status_code == 200
    app.grant("r", plan="quiet", **{"from": "2082-12-15T00:00:00Z"})
    store.end()
    assert degraded(app, reader="r")["features"] == ALL


def test_routes_that_need_the_store_answer_503_with_retry_after(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    grant = app.grant("r")["id"]
    store.end()
    body = {"plan": "vip", "reason": "x", "until": None}
    for method, path, sent in (
        ("POST", "/v1/readers/r/grants", body),
        ("PATCH", f"/v1/readers/r/grants/{grant}", {"until": None, "reason": "x"}),
        ("DELETE", f"/v1/readers/r/grants/{grant}?reason=x", None),
        ("GET", "/v1/readers/r", None),
        ("GET", "/v1/readers/r?at=2020-01-01T00:00:00Z", None),
        ("GET", "/readyz", None),
    ):
        answer = app.call(method, path, sent, admin=True)
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json"), path
        assert int(answer.headers["Retry-After"]) >= 1
    idempotent = app.call("POST", "/v1/readers/r/grants", body, admin=True, headers={"Idempotency-Key": "k"})
    assert idempotent.status_code == 503
    for path in ("/healthz", "/metrics", "/openapi.json", "/docs"):
        assert app.client.get(path).status_code == 200, path
    for wrong, status in (({"story": {}}, 422), ({"story": {"id": "a", "tier": "no"}}, 422)):
        assert app.call("POST", "/v1/access", wrong).status_code == status
    assert app.client.post("/v1/access", headers={"Authorization": "Bearer no"}).status_code == 401


def test_degraded_batch_equals_degraded_single_checks(broken: tuple[InProcessApp, Any]) -> None:
    app, store = broken
    store.end()
    stories = [{"id": "a"}, *({"id": tier, "tier": tier} for tier in ("free", "events", "members", "registered"))]
    for who in ({}, {"visitor": "v"}, {"reader": "entitled"}, {"reader": "r", "visitor": "v"}):
        together = app.call("POST", "/v1/access/batch", {**who, "stories": stories}).get_json()["decisions"]
        alone = [app.ask(dict(story), **who) for story in stories]
        for each in [*together, *alone]:
            each.pop("decision_id")
        assert together == alone


@pytest.mark.parametrize("kind", ["valkey", "redis8"])
def test_answers_are_normal_after_store_recovery(make_app: MakeApp, launch: Any, until: Until, kind: str) -> None:
    store = launch(kind, tcp=True)
    app = make_app(store.url)
    store.end()
    assert app.ask("a", reader="r")["degraded"]
    store.start()
    until(lambda: not app.ask("a", reader="r", count=False)["degraded"])
    assert app.client.get("/readyz").status_code == 200
    assert app.ask("a", reader="r")["meter"]["counted"]


@pytest.mark.load
@pytest.mark.full
def test_hanging_store_is_handled_like_an_unreachable_one(make_app: MakeApp, launch: Any, until: Until) -> None:
    store = launch("valkey")
    app = make_app(store.url, patience=STORE_TIMEOUT)
    app.grant("entitled")
    app.ask("a", reader="entitled", count=False)
    store.freeze()
    begun = time.monotonic()
    assert degraded(app, reader="entitled")["features"] == ALL
    assert time.monotonic() - begun < 1, "about 250 ms before the breaker opens"
    begun = time.monotonic()
    for _ in range(20):
        degraded(app, reader="r")
    assert time.monotonic() - begun < 1
    assert app.client.get("/readyz").status_code == 503
    store.thaw()
    assert until(lambda: not app.ask("a", reader="entitled", count=False)["degraded"]) < 1
