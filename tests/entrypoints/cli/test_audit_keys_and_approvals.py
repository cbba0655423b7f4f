"""Test the audit, keys, approvals and explain commands and their exit status: 0 done, 1 refused, 2 usage."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime

import pytest
import redis

from tests.admin_app import CONFIRM
from tests.running_service import Paywall, Serve, in_days
from tests.store_servers import wait_until

ANN = "admin-key-of-the-tests"
BEN = "key-of-ben-in-the-tests"
END, SOONER = (in_days(days)[:11] + "12:00:00Z" for days in (27, 23))  # noon in London is the same day in New York
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def service(serve: Serve, valkey_url: str) -> Paywall:
    return serve(CONFIRM, REDIS_URL=valkey_url, PAYWALL_WORKERS="1", PAYWALL_ADMIN_KEYS=f"ann:{ANN},ben:{BEN}")


@pytest.mark.full
def test_audit_commands_list_export_and_verify_the_chain(service: Paywall, valkey_url: str) -> None:
    for number in range(3):
        service.grant(f"r-{number}", until=END)
    listing = service.checked("audit", "list").stdout.splitlines()
    assert [line.split()[0] for line in listing] == ["3", "2", "1", "head"]
    head = listing[-1].removeprefix("head ")
    export = service.checked("audit", "export")
    records = [json.loads(line) for line in export.stdout.splitlines()]
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert export.stderr.splitlines()[-1] == f"head {head}"
    assert service.checked_json("audit", "list", "--limit", "1")["head"] == head
    assert service.checked_json("audit", "verify", "--head", head) == {
        "ok": True,
        "first_bad": None,
        "why": None,
        "checked": 3,
        "first": 1,
        "head": head,
        "refused": 0,
        "redacted": 0,
        "secrets": "configured",
    }
    with redis.Redis(unix_socket_path=valkey_url.removeprefix("unix://")) as store:
        store.hdel("pw:{audit}log", "3")
        store.hset("pw:{audit}head", mapping={"seq": 2, "hash": records[1]["hash"]})
        service.checked("audit", "verify")
        cut = service.checked("audit", "verify", "--head", head, status=1).stdout
        assert cut.startswith("Record 3 is missing")
        store.hset(
            "pw:{audit}log", "2", json.dumps({**json.loads(store.hget("pw:{audit}log", "2") or b""), "actor": "x"})
        )
    assert service.checked_json("audit", "verify", status=1)["first_bad"] == 2
    service.checked("audit", "prune", "--older-than", "1h", status=1)


@pytest.mark.full
def test_keys_commands_add_list_and_end_keys(service: Paywall) -> None:
    key = service.checked_json("keys", "add", "desk", "--role", "viewer", "--reason", "new desk")["key"]
    assert service.get("/v1/audit", key).status_code == 200
    assert "desk" in service.checked("keys", "add", "desk", "--role", "viewer", status=1).stderr
    service.checked("keys", "add", "ann", "--role", "viewer", status=1)
    assert key not in service.checked("keys", "list").stdout
    assert [item["name"] for item in service.checked_json("keys", "list")["items"]] == ["desk"]
    service.checked("keys", "end", "desk")
    service.checked("keys", "end", "desk", status=1)
    ended, made = service.get("/v1/audit").json()["items"]
    assert (made["actor"].startswith("cli:"), made["from_ip"], made["reason"]) == (True, None, "new desk")
    assert ended["action"] == "key.end"


@pytest.mark.full
def test_approvals_commands_list_confirm_and_refuse(service: Paywall) -> None:
    waits = service.checked_json("grants", "add", "--reader", "r-1", "--plan", "vip", "--reason", "press", "--no-end")
    assert waits["state"] == "waiting"
    assert (
        "waits for a second admin"
        in service.checked("grants", "add", "--reader", "r-2", "--plan", "vip", "--reason", "press", "--no-end").stdout
    )
    listed = service.checked("approvals", "list").stdout
    assert "no end" in listed
    assert "None" not in listed
    service.checked("approvals", "confirm", waits["approval"], status=1)
    answer = service.post(f"/v1/approvals/{waits['approval']}", None, BEN)
    assert answer.status_code == 200
    grant = answer.json()["outcome"]["grant"]["id"]
    asked = service.call("PATCH", f"/v1/readers/r-1/grants/{grant}", {"until": END, "reason": "x"}, ANN)
    assert asked.status_code == 200
    longer = service.call("PATCH", f"/v1/readers/r-1/grants/{grant}", {"until": None, "reason": "x"}, ANN).json()
    assert grant in service.checked("approvals", "list").stdout
    assert service.checked_json("approvals", "confirm", longer["approval"])["outcome"]["grant"]["until"] is None
    (left,) = service.checked_json("approvals", "list")["items"]
    service.checked("approvals", "refuse", left["approval"], "--reason", "no")
    assert service.checked("approvals", "list").stdout == "No pending approvals.\n"
    changed = service.checked_json("grants", "change", "--reader", "r-1", "--until", SOONER, "--reason", "y", grant)
    assert changed["until"] == SOONER
    service.checked(
        "grants",
        "change",
        "--reader",
        "r-1",
        "--until",
        "2020-01-01T00:00:00Z",
        "--reason",
        "y",
        grant,
        status=1,
    )
    service.checked("grants", "change", "--reader", "r-1", "--no-end", "--reason", "y", "gr_0", status=1)


@pytest.mark.full
def test_explain_command_prints_the_decision_of_the_api(service: Paywall) -> None:
    service.grant("r-1", until=END, reason="a secret of the newsroom")
    answer = service.ask("s-1", reader="r-1")
    by_api = service.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert service.checked_json("explain", "--decision", answer["decision_id"]) == by_api
    wait_until(lambda: service.command("stories", "show", "s-1").returncode == 0)
    now = service.checked_json("explain", "--reader", "r-1", "--story", "s-1")
    assert set(now) == set(by_api)
    assert service.get(f"/v1/decisions/{now['decision_id']}").json() == now
    text = service.checked("explain", "--reader", "r-1", "--story", "s-1").stdout.splitlines()
    (sentence,) = [line for line in text if line.startswith("To the reader: ")]
    assert sentence == f"To the reader: We gave you VIP, at least until {datetime.fromisoformat(END):%-d %B %Y}."
    assert any(f"held notebook (until {END})" in line for line in text)
    assert any("history: 1 change of sources" in line for line in text)
    assert any("grant.create by ann: a secret of the newsroom" in line for line in text)
    before = service.checked_json("explain", "--reader", "r-1", "--story", "s-1", "--at", "2026-11-02T00:00:00Z")
    assert (before["source"], before["decision_id"], before["at"]) == (None, None, "2026-11-02T00:00:00Z")
    service.checked("explain", "--decision", "x", status=1)
