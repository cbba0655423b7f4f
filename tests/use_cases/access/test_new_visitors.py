"""Test which visitors are counted: none who is new while the store is filling up, and few of one address in a minute."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.domain.meter import VisitorRefusal
from service.use_cases.access.counting import MOST_ADDRESSES, NewVisitors
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import POLICY
from tests.store_servers import Server

NEW = ("store_unavailable", "upsell", True)


def shown(answer: dict[str, Any]) -> tuple[str, str, bool]:
    return answer["reason"], answer["show"], answer["degraded"]


def counters(app: InProcessApp) -> dict[str, float]:
    text = app.client.get("/metrics").get_data(as_text=True)
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def keys_of(server: Server) -> set[bytes | str]:
    """Return the keys that checks can write: without the turn of the task that keeps the lists, which comes by itself."""
    return set(server.admin().keys()) - {b"pw:index-turn"}


@pytest.fixture(params=["valkey", "redis8"])
def server(request: pytest.FixtureRequest, launch: Any) -> Server:
    """Run a store with a small memory."""
    started: Server = launch(request.param, maxmemory="16mb")
    return started


@pytest.fixture
def fill(server: Server, until: Any) -> Callable[[InProcessApp, float], None]:
    """Fill the store with foreign keys up to a share of its memory, until the app has noticed."""

    def filling(app: InProcessApp, share: float) -> None:
        admin = server.admin()
        missing = int(share * 16 * 2**20) - admin.info("memory")["used_memory"]
        with admin.pipeline(transaction=False) as pipe:
            for number in range(missing // 50_000):
                pipe.set(f"foreign:{number}", bytes(49_000))
            pipe.execute(raise_on_error=False)
        until(lambda: app.service.store.link.memory().is_filling)

    return filling


def test_new_visitor_in_a_filling_store_follows_failure_and_writes_nothing(
    make_app: MakeApp, server: Server, fill: Any, until: Any
) -> None:
    app = make_app(server.url)
    assert counters(app)['paywall_uncounted_visitors_total{reason="store_memory"}'] == 0
    app.ask("a", visitor="before")
    fill(app, 0.83)
    keys = keys_of(server)
    assert shown(app.ask("a", visitor="after")) == NEW
    assert shown(app.ask("a", visitor="after", count=False)) == NEW
    assert app.ask("a", visitor="after")["meter"] is None
    assert app.ask("b", visitor="before")["meter"]["used"] == 2, "who has a meter is counted in it"
    assert shown(app.ask("c", visitor="before")) == ("meter_used_up", "upsell", False)
    assert shown(app.ask({"id": "d", "tier": "supporters"}, visitor="after")) == ("no_entitlement", "upsell", False)
    stories = [{"id": "a"}, {"id": "d", "tier": "supporters"}]
    batch = app.call("POST", "/v1/access/batch", {"visitor": "after", "stories": stories}).get_json()["decisions"]
    assert [shown(decision) for decision in batch] == [NEW, ("no_entitlement", "upsell", False)]
    assert keys_of(server) <= keys  # one can have expired
    assert counters(app)['paywall_uncounted_visitors_total{reason="store_memory"}'] == 2
    server.admin().delete(*server.admin().keys("foreign:*"))
    until(lambda: not app.service.store.link.memory().is_filling)
    assert app.ask("a", visitor="after")["meter"]["counted"] is True


def test_what_strangers_cause_is_not_kept_in_a_filling_store(make_app: MakeApp, server: Server, fill: Any) -> None:
    app = make_app(server.url)
    fill(app, 0.83)
    keys = keys_of(server)
    long = {"id": "s", "tier": "supporters", "parts": [sha256(b"%d" % number).hexdigest() for number in range(90)]}
    assert app.ask(long, visitor="v")["decision_id"] is None
    assert app.ask({"id": "s", "tier": "supporters"}, visitor="v")["decision_id"] is not None
    assert app.call("GET", "/v1/readers/r", headers={"Authorization": "Bearer a-wrong-key"}).status_code == 401
    assert keys_of(server) <= keys  # one can have expired


def test_failure_policy_opens_to_a_visitor_who_is_not_counted(make_app: MakeApp, server: Server, fill: Any) -> None:
    app = make_app(server.url, POLICY + '[failure]\nvisitors = "full"\n')
    fill(app, 0.83)
    assert shown(app.ask("a", visitor="v")) == ("store_unavailable", "full", True)


def test_reader_in_a_filling_store_is_counted_without_a_new_visitor(
    make_app: MakeApp, server: Server, fill: Any
) -> None:
    app = make_app(server.url)
    fill(app, 0.83)
    keys = keys_of(server)
    for used, story in enumerate(("a", "b"), start=1):
        meter = app.ask(story, reader="r", visitor="v")["meter"]
        assert (meter["used"], meter["counted"]) == (used, True)
    assert app.ask("a", reader="r", visitor="w")["meter"]["used"] == 2
    assert len(keys_of(server) - keys) == 1, "the reader's meter, and none of the visitors'"


def test_reader_joins_a_visitor_who_was_counted_before_the_store_filled_up(
    make_app: MakeApp, server: Server, fill: Any
) -> None:
    app = make_app(server.url)
    app.ask("a", visitor="v")
    fill(app, 0.83)
    assert app.ask("b", reader="r", visitor="v")["meter"]["used"] == 2
    assert app.ask("c", reader="s", visitor="v")["meter"]["used"] == 1


def test_address_limit_locks_further_new_visitors_until_the_next_minute(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url, PAYWALL_NEW_VISITORS_PER_MINUTE="2")
    here, there = {"ip": "203.0.113.9"}, {"ip": "203.0.113.10"}
    locked = ("sign_in_required", "upsell", False)
    assert shown(app.ask("a", visitor="v1", context=here))[0] == "metered"
    assert shown(app.ask("a", visitor="v2", context=here, count=False))[0] == "metered"
    assert shown(app.ask("a", visitor="v2", context=here))[0] == "metered"
    assert shown(app.ask("a", visitor="v3", context=here)) == locked
    assert shown(app.ask("a", visitor="v3", context=here, count=False)) == locked
    assert shown(app.ask("b", visitor="v1", context=here))[0] == "metered", "this visitor has a meter"
    assert shown(app.ask("a", visitor="v3", context=there))[0] == "metered"
    assert shown(app.ask("a", visitor="v4"))[0] == "metered", "a site that sends no address has no limit"
    assert counters(app)['paywall_uncounted_visitors_total{reason="address_limit"}'] == 1
    app.clock.now += 60
    assert shown(app.ask("a", visitor="v5", context=here))[0] == "metered"


@pytest.fixture
def limited() -> NewVisitors:
    return NewVisitors(Link(parse_address("redis://127.0.0.1:1")), per_minute=1)


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("203.0.113.9", "203.0.113.9", "address_limit"),
        ("203.0.113.9", "::ffff:203.0.113.9", "address_limit"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "address_limit"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", None),
        ("no address", "no address", None),
        ("203.0.113.9:4711", "203.0.113.9:4711", None),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9, 10.0.0.1", None),
    ],
)
def test_address_limit_takes_a_64_bit_network_as_one_address(
    limited: NewVisitors, first: str, second: str, refused: VisitorRefusal | None
) -> None:
    assert limited.refusal(b"k", first, 0.0, count=True) is None
    assert limited.refusal(b"k", second, 0.0, count=True) == refused


def test_address_limit_keeps_a_bounded_number_of_addresses(limited: NewVisitors) -> None:
    for number in range(MOST_ADDRESSES):
        assert limited.refusal(b"k", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0, count=True) is None
    assert limited.refusal(b"k", "10.0.0.0", 0.0, count=True) == "address_limit"
    assert limited.refusal(b"k", "192.0.2.1", 0.0, count=True) is None
    assert limited.refusal(b"k", "10.0.0.0", 0.0, count=True) is None, "the full table was emptied"


def test_clock_set_back_begins_a_new_minute(limited: NewVisitors) -> None:
    assert limited.refusal(b"k", "203.0.113.9", 1_000.0, count=True) is None
    assert limited.refusal(b"k", "203.0.113.9", 10.0, count=True) is None
