"""Test the lists of readers and grants: every item, every filter, pages, and what changes them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from service.adapters.observability.metrics import Metrics
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.grants.grants import GrantRequest
from service.bootstrap import assemble
from service.domain.times import utc
from tests.stepped_link import Killed, SteppedLink
from tests.store_servers import wait_until
from tests.use_cases.lists.conftest import Listed

DAY = 86_400


ANN = Actor("ann")


def moment(listed: Listed, days: float) -> str:
    return utc(int(listed.clock.now + days * DAY))


def expected(listed: Listed, reader: str) -> dict[str, Any]:
    """Return the item of a reader, worked out from what the API answers of that reader."""
    profile = listed.app.reader(reader)
    live = [one for one in profile["sources"] if one["standing"] in ("good", "grace")]
    shown = live or profile["sources"]
    ends = [one["until"] for one in shown]
    return {
        "reader": reader,
        "access": profile["access"],
        "plans": sorted({one["plan"] for one in shown if one["plan"]}),
        "sources": sorted({one["type"] for one in shown}),
        "standing": min((one["standing"] for one in profile["sources"]), key=["good", "grace", "none", "ended"].index),
        "until": None if None in ends else max(ends),
        "customers": profile["customers"],
    }


def without_change(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "changed_at"}


def test_reader_without_sources_is_not_listed(listed: Listed) -> None:
    listed.app.reader("stranger")
    assert listed.names() == []


def test_list_follows_grants_through_their_life(listed: Listed) -> None:
    grant = listed.app.grant("r-1", until=moment(listed, 2))
    listed.app.grant("r-2", **{"from": moment(listed, 1), "until": moment(listed, 3)})
    listed.settle()
    assert listed.names() == ["r-1", "r-2"]
    assert listed.names(access="true") == ["r-1"]
    assert listed.one("r-2")["standing"] == "none"
    listed.clock.now += 1.5 * DAY  # r-2 has started by itself.
    listed.settle()
    assert listed.names(standing="good") == ["r-1", "r-2"]
    listed.app.call("DELETE", f"/v1/readers/r-1/grants/{grant['id']}?reason=over", admin=True)
    listed.settle()
    assert listed.names(standing="ended") == ["r-1"]
    assert listed.grants(status="revoked") == [grant["id"]]
    listed.clock.now += 2 * DAY  # r-2 has ended by itself.
    listed.settle()
    assert listed.names(access="false") == ["r-1", "r-2"]
    assert listed.one("r-2")["changed_at"] == listed.one("r-2")["until"]


def test_lists_agree_with_readers_through_churn(listed: Listed) -> None:
    chance = random.Random(12)
    readers = [f"{chance.choice('abc')}-{number:03d}" for number in range(120)]
    grants: list[tuple[str, dict[str, Any]]] = []
    for turn in range(260):
        reader = chance.choice(readers)
        what = chance.random()
        if what < 0.6 or not grants:
            start, end = chance.choice([(None, 5), (None, 40), (2, 9), (None, None)])
            more = {} if start is None else {"from": moment(listed, start)}
            plan: dict[str, Any] = chance.choice([{"plan": "vip"}, {"plan": "quiet"}, {"features": ["no_ads"]}])
            until = None if end is None else moment(listed, end + chance.random())
            grants.append((reader, listed.app.grant(reader, **plan, **more, until=until)))
        elif what < 0.8:
            holder, grant = chance.choice(grants)
            listed.app.call("DELETE", f"/v1/readers/{holder}/grants/{grant['id']}?reason=x", admin=True)
        else:
            listed.clock.now += chance.random() * DAY
        if turn % 20 == 0:
            listed.settle()
    listed.settle()
    held = sorted({reader for reader, _ in grants})
    assert [without_change(item) for item in listed.all("/v1/readers", limit=7)] == [expected(listed, r) for r in held]
    items = {reader: expected(listed, reader) for reader in held}
    soon = moment(listed, 6)
    filters: list[tuple[dict[str, str], Any]] = [
        ({"prefix": "b-0"}, lambda one: one["reader"].startswith("b-0")),
        ({"plan": "vip"}, lambda one: "vip" in one["plans"]),
        ({"source": "grant"}, lambda one: "grant" in one["sources"]),
        ({"source": "pass"}, lambda one: "pass" in one["sources"]),
        ({"standing": "none"}, lambda one: one["standing"] == "none"),
        ({"access": "false"}, lambda one: not one["access"]),
        ({"ends_before": soon}, lambda one: one["until"] is not None and one["until"] < soon),
    ]
    for query, holds in filters:
        assert listed.names(limit=3, **query) == [reader for reader in held if holds(items[reader])], query
    both = listed.names(prefix="a", plan="vip", access="true", ends_before=soon)
    assert both == [
        r for r in held if all(filters[at][1](items[r]) for at in (1, 6)) and r[0] == "a" and items[r]["access"]
    ]
    listed_grants = listed.all("/v1/grants", limit=9)
    assert sorted(one["id"] for one in listed_grants) == sorted(grant["id"] for _, grant in grants)
    assert [one["created_at"] for one in listed_grants] == sorted(
        (one["created_at"] for one in listed_grants), reverse=True
    )
    for status in ("active", "scheduled", "expired", "revoked"):
        assert listed.grants(status=status, limit=5) == [one["id"] for one in listed_grants if one["status"] == status]
    assert listed.grants(reader=held[3]) == [one["id"] for one in listed_grants if one["reader"] == held[3]]
    assert listed.grants(plan="quiet") == [one["id"] for one in listed_grants if one["plan"] == "quiet"]
    assert listed.grants(actor="nobody") == []
    assert listed.grants(ends_before=soon) == [o["id"] for o in listed_grants if o["until"] and o["until"] < soon]


def test_ends_after_2106_are_compared_exactly(listed: Listed) -> None:
    ends = {"r-1": None, "r-2": "2120-01-01T00:00:00Z", "r-3": "2150-01-01T00:00:00Z"}
    grants = {reader: listed.app.grant(reader, until=until)["id"] for reader, until in ends.items()}
    listed.settle()
    for before, found in (("2110", []), ("2130", ["r-2"]), ("9999", ["r-2", "r-3"])):
        query = {"ends_before": f"{before}-01-01T00:00:00Z"}
        assert listed.names(**query) == found
        assert sorted(listed.grants(**query)) == sorted(grants[reader] for reader in found)
        path, body = (
            f"/v1/grants/changes?dry_run=true&ends_before={before}-01-01T00:00:00Z",
            {"revoke": True, "reason": "x"},
        )
        assert listed.app.call("POST", path, body, admin=True).get_json()["rows"] == len(found)


def test_merged_reader_is_not_listed_and_the_grants_move(listed: Listed) -> None:
    grant = listed.app.grant("old")
    listed.app.grant("new", plan="quiet")
    assert listed.app.call("POST", "/v1/readers/new/merge", {"from": "old"}, admin=True).status_code == 200
    listed.settle()
    assert listed.names() == ["new"]
    assert listed.one("new")["plans"] == ["quiet", "vip"]
    assert {one["reader"] for one in listed.all("/v1/grants")} == {"new"}
    assert grant["id"] in listed.grants(reader="old")


def test_erased_reader_leaves_no_trace_in_the_index(listed: Listed) -> None:
    listed.app.grant("zoe-7f31", reason="friend")
    listed.settle()
    listed.app.grant("zoe-7f31", reason="friend")  # Still to be indexed when the reader is erased.
    assert listed.app.call("DELETE", "/v1/readers/zoe-7f31?reason=asked", admin=True).status_code == 200
    assert listed.names() == []
    link = listed.app.service.store.link
    for page in link.scan_nodes(b"pw:{index*"):
        for key in page:
            assert b"zoe-7f31" not in repr(link.call(key, b"DUMP", key)).encode()
    listed.settle()
    assert listed.names() == []
    listed.app.grant("zoe-7f31")
    listed.settle()
    assert listed.names() == ["zoe-7f31"]


def test_imported_readers_are_listed_by_their_ids(listed: Listed) -> None:
    rows = "".join(f"m-{number},vip,never,press\n" for number in range(30))
    body = f"reader,plan,until,reason\n{rows}".encode()
    answer = listed.app.call("POST", "/v1/grants/import", admin=True, data=body, content_type="text/csv")
    done = listed.app.service.imports.finish(answer.get_json()["id"])
    wait_until(lambda: listed.names() == sorted(f"m-{number}" for number in range(30)))  # By the background.
    assert len(listed.grants(**{"import": done.id})) == 30
    listed.app.service.imports.undo(done.id, "wrong", ANN, listed.clock.now)
    listed.app.service.imports.finish(done.id)
    listed.settle()
    assert listed.names(access="true") == []
    assert len(listed.grants(status="revoked")) == 30


@pytest.mark.parametrize("reader", ["r-1", "r-2"])
def test_write_whose_process_died_is_listed_all_the_same(listed: Listed, reader: str) -> None:
    listed.app.grant("r-1", plan="quiet")
    listed.settle()
    service = listed.app.service

    def die(name: str) -> None:
        if name == "write_source":
            raise Killed

    link = SteppedLink(service.store.link.address, after=die)
    other = assemble(service.settings, link, listed.clock, Metrics())
    assert link.wait(60)
    wanted = GrantRequest("vip", (), "press card", int(listed.clock.now), None)
    with pytest.raises(Killed):
        other.grants.create(reader, wanted, ANN, listed.clock.now)

    def is_listed() -> bool:
        listed.settle()
        return listed.names(plan="vip") == [reader]

    wait_until(is_listed)
    other.close()


def test_index_is_built_again_when_its_keys_are_lost(listed: Listed) -> None:
    for number in range(20):
        listed.app.grant(f"r-{number}")
    link = listed.app.service.store.link
    for page in link.scan_nodes(b"pw:*index*"):
        for key in page:
            link.call(key, b"DEL", key)
    assert listed.names() == sorted(f"r-{number}" for number in range(20))


def test_rebuild_names_readers_of_a_former_release(listed: Listed) -> None:
    listed.app.grant("r-1")
    link, keys = listed.app.service.store.link, listed.app.service.store.keys
    key = keys.reader(reader_hash("r-1"))
    link.call(key, b"HDEL", key, b"=")
    updates = listed.app.service.reader_lists.updates
    assert updates.rebuild().unnamed == 0
    assert listed.names() == ["r-1"]
    assert link.call(key, b"HGET", key, b"=") == b"r-1"


def test_reader_imported_by_a_former_release_is_listed_once_imported_again(listed: Listed) -> None:
    body = b"reader,plan,until,reason\nm-1,vip,never,press\n"
    link, keys = listed.app.service.store.link, listed.app.service.store.keys
    key, updates = keys.reader(reader_hash("m-1")), listed.app.service.reader_lists.updates

    def send_file() -> None:
        answer = listed.app.call("POST", "/v1/grants/import", admin=True, data=body, content_type="text/csv")
        listed.app.service.imports.finish(answer.get_json()["id"])
        listed.settle()

    send_file()
    link.call(key, b"HDEL", key, b"=")
    for page in link.scan_nodes(b"pw:*index*"):
        for name in page:
            link.call(name, b"DEL", name)
    assert updates.rebuild().unnamed == 1
    assert listed.names() == []
    send_file()
    assert listed.names() == ["m-1"]
    assert updates.rebuild().unnamed == 0


def test_reindex_corrects_rows_that_differ(listed: Listed) -> None:
    listed.app.grant("r-1")
    listed.app.grant("r-2")
    listed.settle()
    updates = listed.app.service.reader_lists.updates
    assert updates.compare_sample(10).differing == []
    link, keys = listed.app.service.store.link, listed.app.service.store.keys
    key = keys.reader(reader_hash("r-1"))
    record = link.call(key, b"DUMP", key)
    link.call(key, b"DEL", key)
    listed.settle()
    updates.refresh(["r-1"])
    link.call(key, b"RESTORE", key, 0, record)  # As if the index had missed a write.
    assert listed.names() == ["r-2"]
    assert updates.compare_sample(10).differing == ["r-1"]
    assert updates.rebuild().readers == 2
    assert listed.names() == ["r-1", "r-2"]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/readers", {"standing": "fine"}, "standing"),
        ("/v1/readers", {"source": "friend"}, "source"),
        ("/v1/readers", {"access": "yes"}, "access"),
        ("/v1/readers", {"ends_before": "2027-01-01"}, "ends_before"),
        ("/v1/readers", {"limit": "0"}, "limit"),
        ("/v1/readers", {"after": "Zm9v"}, "after"),
        ("/v1/readers", {"status": "active"}, "status"),
        ("/v1/grants", {"status": "good"}, "status"),
        ("/v1/grants", {"after": "Z3JhbnRzOng"}, "after"),
    ],
)
def test_wrong_parameters_are_refused(listed: Listed, path: str, query: dict[str, str], field: str) -> None:
    answer = listed.app.call("GET", path, admin=True, query_string=query)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]


def test_csv_is_one_page_with_a_link_to_the_next(listed: Listed) -> None:
    for number in range(3):
        listed.app.grant(f"r-{number}")
    listed.settle()
    query = {"limit": "2", "plan": "vip"}
    answer = listed.app.call("GET", "/v1/readers", admin=True, query_string=query, headers={"Accept": "text/csv"})
    lines = answer.text.splitlines()
    assert lines[0] == "reader,access,plans,sources,standing,until,customers,changed_at"
    assert lines[1].startswith('r-0,true,"[""vip""]","[""grant""]",good,,[],')
    assert len(lines) == 3
    assert 'rel="next"' in answer.headers["Link"]
