"""Test story passes on a real `paywall serve`: concurrency, an outage, the commands and the public keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.keys import pass_tag
from service.adapters.redis.story_passes.passes import PassRequest
from tests.running_service import ADMIN_KEY

if TYPE_CHECKING:
    from tests.in_process_app import AllAtOnce, MakeApp
    from tests.running_service import Paywall, Serve
    from tests.store_servers import Launch, Until

pytestmark = pytest.mark.full


def create_pass(paywall: Paywall, story: str, openings: int) -> dict[str, Any]:
    body = {"story": story, "openings": openings, "until": "2099-01-01T00:00:00Z", "reason": "the newsletter"}
    answer = paywall.post("/v1/passes", body, ADMIN_KEY)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_fifty_concurrent_readers_never_exceed_the_openings(
    paywall: Paywall, name: str, all_at_once: AllAtOnce
) -> None:
    made = create_pass(paywall, name, 7)

    def ask(number: int) -> str:
        body = {"story": {"id": name}, "visitor": f"{name}-{number}", "pass": made["pass"]}
        answer = requests.post(f"{paywall.url}/v1/access", json=body, headers=paywall.as_site, timeout=60)
        assert answer.status_code == 200
        return str(answer.json()["reason"])

    reasons = all_at_once(50, ask)
    assert sorted(reasons) == ["gift"] * 7 + ["metered"] * 43
    body = paywall.get(f"/v1/passes/{made['id']}").json()
    assert (body["used"], body["status"]) == (7, "used_up")
    assert [ask(number) == "gift" for number in range(50)] == [reason == "gift" for reason in reasons]


def test_concurrent_openings_of_one_reader_count_once(paywall: Paywall, name: str, all_at_once: AllAtOnce) -> None:
    made = create_pass(paywall, name, 7)
    body = {"story": {"id": name}, "reader": name, "pass": made["pass"]}
    url, headers = f"{paywall.url}/v1/access", paywall.as_site
    reasons = all_at_once(50, lambda _: requests.post(url, json=body, headers=headers, timeout=60).json()["reason"])
    assert set(reasons) == {"gift"}
    assert paywall.get(f"/v1/passes/{made['id']}").json()["used"] == 1


def test_pass_does_not_open_in_an_outage(serve: Serve, launch: Launch, until: Until) -> None:
    store = launch("valkey", tcp=True)
    paywall = serve(REDIS_URL=store.url)
    made = create_pass(paywall, "s", 5)
    assert paywall.ask("s", visitor="v", **{"pass": made["pass"]})["reason"] == "gift"
    store.end()
    until(lambda: paywall.ask_once("s", visitor="v")["degraded"])
    answer = paywall.ask_once("s", visitor="v", **{"pass": made["pass"]})
    assert (answer["show"], answer["reason"], answer["source"]) == ("upsell", "store_unavailable", None)
    body = {"story": "s", "openings": 1, "until": "2099-01-01T00:00:00Z", "reason": "why"}
    assert paywall.post("/v1/passes", body, ADMIN_KEY).status_code == 503
    assert paywall.get("/.well-known/jwks.json").status_code == 200


def test_public_keys_are_served_without_a_key(paywall: Paywall) -> None:
    answer = requests.get(f"{paywall.url}/.well-known/jwks.json", timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert [sorted(key) for key in answer.json()["keys"]] == [["alg", "crv", "kid", "kty", "use", "x"]]


def test_passes_commands_match_the_api(serve: Serve) -> None:
    paywall = serve()
    wanted = ("--story", "s", "--openings", "2", "--until", "2099-01-01T00:00:00Z", "--reason", "why")
    made = paywall.checked_json("passes", "add", *wanted)
    assert paywall.ask("s", visitor="v", **{"pass": made["pass"]})["reason"] == "gift"
    assert paywall.checked_json("passes", "show", made["id"])["used"] == 1
    assert [item["id"] for item in paywall.checked_json("passes", "list")["items"]] == [made["id"]]
    plain = paywall.command("passes", "list").stdout
    assert "1 of 2 uses" in plain
    assert paywall.checked_json("passes", "revoke", made["id"])["status"] == "revoked"
    assert paywall.ask("s", visitor="v", **{"pass": made["pass"]})["reason"] == "metered"
    unknown = paywall.command("passes", "show", "sp_none")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "No gift link has this ID, or it expired more than 90 days ago.\n",
    )
    wrong = paywall.command("passes", "add", *wanted[:2], "--openings", "0", *wanted[4:])
    assert (wrong.returncode, wrong.stderr) == (1, "openings: must be a whole number from 1 to 100000\n")
    assert paywall.command("passes", "add").returncode == 2


def test_crash_between_change_and_chain_leaves_no_audit_gap(make_app: MakeApp, store_url: str) -> None:
    app = make_app(store_url)
    audit, passes, keys = app.service.audit, app.service.passes, app.service.store.keys
    now = app.clock()
    made = passes.create(PassRequest("s", 1, int(now) + 60, "why"), Actor("ann"), now)
    # A process that died after the change leaves an intent and an entry that is not in the chain yet.
    tag = pass_tag(made.id)
    left = audit_entry(
        Actor("ann"), "pass.revoke", now=now, reader=None, target=made.id, before=None, after=None, reason="x"
    )
    audit.announce_at(tag)
    app.service.store.link.call(keys.outbox(tag), b"RPUSH", keys.outbox(tag), audit.sign_entry(left))
    another = make_app(store_url)
    another.service.audit.flush_all()
    actions = [record["action"] for record in app.call("GET", "/v1/audit", admin=True).get_json()["items"]]
    assert actions == ["pass.revoke", "pass.create"]


def test_counters_are_saved_when_the_service_stops(serve: Serve, valkey_url: str) -> None:
    first = serve(REDIS_URL=valkey_url)
    for number in range(10):
        first.ask({"id": f"s{number}", "tier": "free"}, visitor="v")
    assert first.end() == 0
    second = serve(REDIS_URL=valkey_url)
    (today,) = second.get("/v1/activity?days=1").json()["days"]
    assert sum(one["count"] for one in today["checks"]) == 10
