"""Test `Idempotency-Key` with failures in between: nothing is done twice, and a dead worker blocks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.redis.staff.idempotency import AT_WORK, IdempotencyStore
from service.entrypoints.http.idempotency import at_work

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

GOOD = {"plan": "vip", "reason": "press card", "until": None}


@pytest.fixture
def repeated(service_app: InProcessApp) -> IdempotencyStore:
    service = service_app.service
    return IdempotencyStore(service.store, lambda: service.secrets.sealer("idempotency"), 1)


def test_second_claim_of_an_idempotency_key_waits(repeated: IdempotencyStore) -> None:
    assert repeated.claim("s", b"body", "t1").state == "new"
    assert repeated.claim("s", b"body", "t2").state == "at_work"
    assert repeated.claim("s", b"other", "t2").state == "other"
    repeated.save_answer("s", b"body", "t1", 201, b"{}")
    done = repeated.claim("s", b"body", "t2")
    assert (done.state, done.status, done.body) == ("done", 201, b"{}")
    assert repeated.claim("s", b"other", "t2").state == "other"


def test_claim_after_a_dead_worker_continues_with_its_token(
    repeated: IdempotencyStore, until: Callable[..., float]
) -> None:
    assert repeated.claim("s", b"body", "t1").token == "t1"
    until(lambda: repeated.claim("s", b"body", "t2").state == "new")
    repeated.abandon("s")
    again = repeated.claim("s", b"body", "t3")
    assert (again.state, again.token) == ("new", "t1")


def test_long_running_worker_keeps_its_claim(repeated: IdempotencyStore, until: Callable[..., float]) -> None:
    repeated.claim("s", b"body", "t1")
    link, working = repeated._link, repeated._key("s", ":at_work")
    with at_work(repeated, "s"):
        link.call(working, b"EXPIRE", working, 600)
        until(lambda: link.call(working, b"TTL", working) < 10)
        assert repeated.claim("s", b"body", "t2").state == "at_work"


@pytest.mark.full
def test_repeat_right_after_a_crash_is_answered(service_app: InProcessApp, repeated: IdempotencyStore) -> None:
    """The first request died unnoticed, so it counts as running for a while."""
    repeated.at_work = AT_WORK
    scope, token = "owner\nann\nPOST\n/v1/readers/r/grants?\nk", f"{1:014x}0123456789"
    assert repeated.claim(scope, json.dumps(GOOD).encode(), token).state == "new"
    headers = {"Idempotency-Key": "k"}
    answer = service_app.call("POST", "/v1/readers/r/grants", GOOD, admin=True, headers=headers)
    assert (answer.status_code, answer.get_json()["id"]) == (201, f"gr_{token}")


def test_released_idempotency_key_can_be_claimed(repeated: IdempotencyStore) -> None:
    repeated.claim("s", b"body", "t1")
    repeated.release("s")
    assert repeated.claim("s", b"other", "t2").token == "t2"


def test_grant_whose_answer_was_lost_is_not_created_twice(
    service_app: InProcessApp, repeated: IdempotencyStore
) -> None:
    """The first request died after its work: its key has a token and no answer."""
    headers = {"Idempotency-Key": "k"}

    def create_grant() -> Any:
        return service_app.call("POST", "/v1/readers/r/grants", GOOD, admin=True, headers=headers)

    first = create_grant().get_json()
    scope = "owner\nann\nPOST\n/v1/readers/r/grants?\nk"
    assert repeated.claim(scope, b"another body", "t").state == "other", "the scope is the service's own"
    repeated.release(scope)
    token = first["id"].removeprefix("gr_")
    assert repeated.claim(scope, json.dumps(GOOD).encode(), token).state == "new"
    repeated.abandon(scope)
    again = create_grant()
    assert (again.status_code, again.get_json()) == (201, first)
    assert len(service_app.reader("r")["sources"]) == 1


SHARED = {"story": "a", "openings": 3, "until": "2099-01-01T00:00:00Z", "reason": "newsletter"}
FILE = b"reader,plan,until,reason\nr-1,vip,never,press card\n"


@pytest.mark.parametrize(
    ("path", "prefix", "sent"),
    [
        ("/v1/passes", "sp_", {"data": json.dumps(SHARED), "content_type": "application/json"}),
        ("/v1/grants/import", "im_", {"data": FILE, "content_type": "text/csv"}),
    ],
    ids=["pass", "import"],
)
def test_object_whose_answer_was_lost_is_not_created_twice(
    service_app: InProcessApp, repeated: IdempotencyStore, path: str, prefix: str, sent: dict[str, Any]
) -> None:
    def make() -> Any:
        return service_app.call("POST", path, admin=True, headers={"Idempotency-Key": "k"}, **sent)

    first = make()
    assert first.status_code in (201, 202), first.text
    scope, body = f"owner\nann\nPOST\n{path}?\nk", sent["data"]
    assert repeated.claim(scope, b"another body", "t").state == "other", "the scope is the service's own"
    repeated.release(scope)
    token = first.get_json()["id"].removeprefix(prefix)
    assert repeated.claim(scope, body if isinstance(body, bytes) else body.encode(), token).state == "new"
    repeated.abandon(scope)
    again = make()
    assert (again.status_code, again.get_json()["id"]) == (first.status_code, first.get_json()["id"])
    entries = service_app.call("GET", "/v1/audit", admin=True).get_json()["items"]
    assert [entry["target"] for entry in entries if entry["action"] in ("pass.create", "import.apply")] == [
        first.get_json()["id"]
    ]


@pytest.mark.full
def test_outage_during_a_grant_makes_no_second_grant(
    make_app: MakeApp, launch: Any, until: Callable[..., float]
) -> None:
    store = launch("valkey", tcp=True, appendonly="yes", appendfsync="always")
    app = make_app(store.url)
    headers = {"Idempotency-Key": "k"}

    def create_grant() -> int:
        return app.call("POST", "/v1/readers/r/grants", GOOD, admin=True, headers=headers).status_code

    store.freeze()
    assert create_grant() == 503
    store.thaw()
    until(lambda: create_grant() == 201)  # a claim whose reply was lost counts as running for some seconds
    assert create_grant() == 201
    assert len(app.reader("r")["sources"]) == 1
