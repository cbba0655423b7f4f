"""Test two services with data folders of their own on one store, as on two machines."""

from __future__ import annotations

import signal

import pytest
import requests

from tests.running_service import Paywall, Serve
from tests.store_servers import Launch, Until

SECONDS_OF_A_LEASE = 15


def ask_as(paywall: Paywall, key: str) -> int:
    """Use an admin key on a connection of its own, so that any of the processes may answer."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{paywall.url}/v1/keys", headers=headers, timeout=60).status_code


@pytest.mark.full
def test_two_machines_act_as_one(serve: Serve, launch: Launch, until: Until) -> None:
    store = launch("redis8", tcp=True)
    first = serve(worker=True, REDIS_URL=store.url, PAYWALL_WORKERS="1")  # What its one process knows, a machine knows.

    def leader() -> bytes | None:
        (key,) = store.admin().keys("pw*leader") or [b""]
        return store.admin().get(key) if key else None  # type: ignore[return-value]  # redis-py types it for both its clients

    until(leader)
    leads = leader()
    second = serve(worker=True, REDIS_URL=store.url, PAYWALL_WORKERS="1")
    assert first.data != second.data

    # What one grants or ends, the other knows at its next answer.
    grant = first.grant("r")["id"]
    assert second.ask("a", reader="r")["reason"] == "grant"
    second.revoke("r", grant)
    assert first.ask("a", reader="r")["reason"] != "grant"
    assert [machine.ask("m", visitor="v")["meter"]["used"] for machine in (first, second)] == [1, 1]

    # A key made on one opens the other; once ended, it opens neither.
    key = first.post("/v1/keys", {"name": "desk", "role": "owner"}, first.admin).json()["key"]
    assert (ask_as(first, key), ask_as(second, key)) == (200, 200)
    assert second.call("DELETE", "/v1/keys/desk?reason=left", None, second.admin).status_code == 200
    until(lambda: 200 not in {ask_as(machine, key) for machine in (first, second)})
    assert {ask_as(machine, key) for machine in (first, second)} <= {401, 429}, "too many wrong keys are 429"

    # One worker leads. When its machine is gone, the other's takes over, and the other machine answers as before.
    assert leader() == leads
    first.end(signal.SIGKILL, group=True)
    assert second.ask("b", reader="r")["degraded"] is False
    until(lambda: leader() not in (None, leads), SECONDS_OF_A_LEASE * 4)
    second.grant("after")
    assert second.ask("b", reader="after")["reason"] == "grant"
    assert second.end() == 0
