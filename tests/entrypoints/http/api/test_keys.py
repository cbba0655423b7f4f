"""Test admin keys made at run time: shown once, stored as a hash, and ended on every worker within two seconds."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from service.adapters.crypto import key_digest
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.admin_keys import LOOKS, LOOKS_A_SECOND, AdminKeyCache
from tests.admin_app import Admins
from tests.running_service import Serve
from tests.store_servers import Launch, Until


def test_new_key_is_shown_once_and_has_its_role(admins: Admins) -> None:
    made = admins.call_json("ann", "POST", "/v1/keys", {"name": "desk", "role": "granter"}, 201)
    assert made == {"name": "desk", "role": "granter", "key": made["key"]}
    given = admins.grant("r-1", who=made["key"])
    assert given["actor"] == "desk"
    admins.call_json(made["key"], "POST", "/v1/keys", {"name": "more", "role": "owner"}, 403)
    (listed,) = admins.call_json("ann", "GET", "/v1/keys")["items"]
    assert listed == {"name": "desk", "role": "granter", "created_at": listed["created_at"], "actor": "ann"}


def test_no_cache_may_keep_a_new_key_or_the_repeated_answer(admins: Admins) -> None:
    for _ in range(2):
        body, headers = {"name": "desk", "role": "viewer"}, {"Idempotency-Key": "one"}
        answer = admins.call("ann", "POST", "/v1/keys", body, headers=headers)
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_only_a_hash_of_the_key_is_stored(admins: Admins) -> None:
    key = admins.make_key("desk", "viewer").encode()
    service = admins.app.service
    for page in service.store.link.scan_nodes(b"*"):
        for name in page:
            assert key not in name
            kind = service.store.link.call(name, b"TYPE", name)
            if kind == b"hash":
                assert key not in b"".join(service.store.link.call(name, b"HGETALL", name))
            elif kind == b"string":
                assert key not in service.store.link.call(name, b"GET", name)


@pytest.mark.full
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "role": "site"}, "role"),
        ({"name": "x", "role": "Owner"}, "role"),
        ({"name": "x", "role": None}, "role"),
        ({"name": "x", "role": 1}, "role"),
        ({"name": "x"}, "role"),
        ({"role": "viewer"}, "name"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "a/b", "role": "viewer"}, "name"),
        ({"name": " x", "role": "viewer"}, "name"),
        ({"name": "cli:root", "role": "viewer"}, "name"),
        ({"name": "x" * 129, "role": "viewer"}, "name"),
        ({"name": "x", "role": "viewer", "key": "my own"}, "key"),
        ({"name": "x", "role": "viewer", "reason": " "}, "reason"),
    ],
)
def test_invalid_key_request_is_422_with_its_field(admins: Admins, body: dict[str, Any], field: str) -> None:
    found = admins.call_json("ann", "POST", "/v1/keys", body, 422)
    assert [error["field"] for error in found["errors"]] == [field]


@pytest.mark.full
@pytest.mark.parametrize("name", ["ann", "ben", "web", "desk"])
def test_key_name_in_use_is_409_also_for_environment_keys(admins: Admins, name: str) -> None:
    admins.make_key("desk", "viewer")
    body = admins.call_json("ann", "POST", "/v1/keys", {"name": name, "role": "viewer"}, 409)
    assert body["type"] == "urn:paywall:problem:name-in-use"


def test_deleted_key_stops_working_and_its_name_is_free(admins: Admins) -> None:
    key = admins.make_key("desk", "viewer")
    assert admins.call(key, "GET", "/v1/audit").status_code == 200
    ended = admins.call_json("ann", "DELETE", "/v1/keys/desk?reason=left")
    assert ended["name"] == "desk"
    assert admins.call(key, "GET", "/v1/audit").status_code == 401
    admins.call_json("ann", "DELETE", "/v1/keys/desk", status=404)
    assert admins.call(admins.make_key("desk", "viewer"), "GET", "/v1/audit").status_code == 200
    assert admins.call(key, "GET", "/v1/audit").status_code == 401


def test_environment_key_cannot_be_deleted_by_the_api(admins: Admins) -> None:
    assert "PAYWALL_ADMIN_KEYS" in admins.call_json("ann", "DELETE", "/v1/keys/ben", status=409)["detail"]


def test_key_creation_and_deletion_are_in_the_audit(admins: Admins) -> None:
    admins.call_json("ann", "POST", "/v1/keys", {"name": "desk", "role": "viewer", "reason": "new desk"}, 201)
    admins.call_json("ben", "DELETE", "/v1/keys/desk", {"reason": "desk closed"})
    ended, made = admins.audit()
    assert (made["action"], made["actor"], made["target"], made["reason"]) == ("key.create", "ann", "desk", "new desk")
    assert (made["reader"], made["before"], made["after"]) == (None, None, {"role": "viewer"})
    assert (ended["action"], ended["actor"], ended["target"], ended["reason"]) == (
        "key.end",
        "ben",
        "desk",
        "desk closed",
    )
    assert (ended["before"], ended["after"]) == ({"role": "viewer"}, None)


def test_repeated_key_request_gets_the_same_key(admins: Admins) -> None:
    body, headers = {"name": "desk", "role": "viewer"}, {"Idempotency-Key": "k-1"}
    first, again = (admins.call_json("ann", "POST", "/v1/keys", body, 201, headers=headers) for _ in range(2))
    assert first == again
    assert admins.call(first["key"], "GET", "/v1/audit").status_code == 200


def test_keys_are_listed_newest_first_in_pages_also_within_a_second(admins: Admins) -> None:
    admins.app.clock.now = float(int(admins.app.clock.now))
    for name, later in (("mia", 0.1), ("zoe", 0.1), ("abe", 0.1), ("ned", 0.1), ("bea", 1)):
        admins.app.clock.now += later
        admins.make_key(name, "viewer")
    first = admins.call_json("ann", "GET", "/v1/keys", query_string={"limit": 3})
    rest = admins.call_json("ann", "GET", "/v1/keys", query_string={"limit": 3, "after": first["next"]})
    assert [item["name"] for item in first["items"] + rest["items"]] == ["bea", "ned", "abe", "zoe", "mia"]
    assert rest["next"] is None


def test_key_starts_at_once_and_stops_working_on_every_worker(serve: Serve, until: Until) -> None:
    """Use a separate service: so many wrong keys make those of other tests 429."""
    paywall = serve(PAYWALL_WORKERS="3")

    def statuses(key: str) -> set[int]:
        # Use new connections, which reach all workers.
        return {paywall.get("/v1/audit", key, headers={"Connection": "close"}).status_code for _ in range(12)}

    for name in "abc":
        for _ in range(5):
            assert statuses(os.urandom(8).hex()) <= {401, 429}  # so many wrong keys of one address get 429
        key = paywall.post("/v1/keys", {"name": name, "role": "viewer"}, "admin-key-of-the-tests").json()["key"]
        assert statuses(key) == {200}
    paywall.call("DELETE", "/v1/keys/c", None, "admin-key-of-the-tests")
    until(lambda: statuses(key) <= {401, 429})
    assert key not in paywall.log


def test_unknown_keys_cause_few_store_lookups(admins: Admins) -> None:
    def asked() -> int:
        answer = bytes(admins.app.service.store.link.call(b"x", b"INFO", b"commandstats"))
        (line,) = [line for line in answer.splitlines() if line.startswith(b"cmdstat_hgetall:")]
        return int(line.partition(b"calls=")[2].partition(b",")[0])

    keys = admins.app.service.admin_keys
    book, ended = AdminKeyCache(keys), keys.create("ended", "viewer", None, Actor("ann"), 0)
    keys.end("ended", None, Actor("ann"), 0)
    assert book.find(os.urandom(32)) is None
    before, begun = asked(), time.monotonic()
    for _ in range(1_000):
        assert book.find(os.urandom(32), "paywall_" + os.urandom(40).hex()) is None
        assert book.find(key_digest(ended), ended) is None
    assert asked() - before <= LOOKS + LOOKS_A_SECOND * (time.monotonic() - begun) + 1


@pytest.mark.full
def test_known_key_is_503_not_401_while_the_store_is_unavailable(serve: Serve, launch: Launch, until: Until) -> None:
    store = launch(tcp=True)
    service = serve(REDIS_URL=store.url, PAYWALL_WORKERS="1")
    key = service.post("/v1/keys", {"name": "desk", "role": "viewer"}, "admin-key-of-the-tests").json()["key"]
    assert service.get("/v1/audit", key).status_code == 200
    store.freeze()
    until(lambda: service.get("/v1/audit", key).status_code == 503)
    assert service.get("/v1/audit", os.urandom(8).hex()).status_code == 401
    assert service.ask_once("s-1", reader="r-1")["degraded"]
    store.thaw()
    until(lambda: service.get("/v1/audit", key).status_code == 200)


@pytest.mark.full
def test_unknown_admin_key_is_503_when_the_store_was_never_available(serve: Serve, launch: Launch) -> None:
    store = launch(tcp=True, start=False)
    service = serve(REDIS_URL=store.url, PAYWALL_WORKERS="1", start=False).start(wait="/healthz")
    assert service.get("/v1/audit", "made-at-run-time").status_code == 503
    assert service.post("/v1/access", {"story": {"id": "s"}}, "no-key").status_code == 401
    assert service.get("/v1/audit", "site-key-of-the-tests").status_code == 403
