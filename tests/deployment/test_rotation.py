"""Test the rotation of each secret on a running service, step by step as in docs/explanation/security.md."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from tests.running_service import ADMIN_KEY, Paywall, Serve, in_days
from tests.store_servers import Launch, Server, Until
from tests.stripe_fixtures import Made, delivery

OLD, NEW = "old-secret-0123456789abcdef0123456789", "new-secret-0123456789abcdef0123456789"
OLD_KEY, NEW_KEY = "old-key-0123456789abcdef", "new-key-0123456789abcdef"

pytestmark = pytest.mark.full


@pytest.fixture
def store(launch: Launch) -> Server:
    return launch("redis8", tcp=True)


def restart(paywall: Paywall, **env: str) -> None:
    assert paywall.end() == 0
    paywall.env.update(env)
    paywall.start()


def opens(paywall: Paywall, key: str) -> bool:
    status = paywall.get("/v1/keys", key).status_code
    assert status in (200, 401)
    return status == 200


def test_api_key_of_the_environment(serve: Serve, store: Server) -> None:
    paywall = serve(PAYWALL_WORKERS="1", REDIS_URL=store.url, PAYWALL_ADMIN_KEYS=f"ann:{OLD_KEY}")
    restart(paywall, PAYWALL_ADMIN_KEYS=f"ann:{OLD_KEY},ann:{NEW_KEY}")
    assert [opens(paywall, key) for key in (OLD_KEY, NEW_KEY)] == [True, True]
    restart(paywall, PAYWALL_ADMIN_KEYS=f"ann:{NEW_KEY}")
    assert [opens(paywall, key) for key in (OLD_KEY, NEW_KEY)] == [False, True]


def test_api_key_made_at_run_time(serve: Serve, store: Server, until: Until) -> None:
    paywall = serve(PAYWALL_WORKERS="1", REDIS_URL=store.url)
    old, new = (paywall.checked_json("keys", "add", name, "--role", "owner")["key"] for name in ("desk", "desk-2"))
    assert [opens(paywall, key) for key in (old, new)] == [True, True]
    paywall.checked("keys", "end", "desk", "--reason", "rotated")
    until(lambda: not opens(paywall, old))
    assert opens(paywall, new)


def test_secrets_of_the_service(serve: Serve, store: Server, tmp_path: Path, until: Until) -> None:
    paywall = serve(worker=True, PAYWALL_WORKERS="1", REDIS_URL=store.url, PAYWALL_SECRETS=OLD)
    paywall.grant("r")
    key = paywall.post("/v1/keys", {"name": "desk", "role": "owner"}, ADMIN_KEY).json()["key"]
    story_pass = {"story": "s", "until": in_days(30), "openings": 5, "reason": "friends"}
    token = paywall.post("/v1/passes", story_pass, ADMIN_KEY).json()["pass"]
    decision = paywall.ask("a", reader="r")["decision_id"]
    backup = tmp_path / "old.backup"
    paywall.checked("backup", str(backup))

    # The new secret first, and the old one after it: everything made with the old one is valid.
    restart(paywall, PAYWALL_SECRETS=f"{NEW},{OLD}")
    paywall.grant("s")
    assert paywall.get(f"/v1/decisions/{decision}").status_code == 200
    assert paywall.ask("s", visitor="v", **{"pass": token})["reason"] == "gift"
    assert opens(paywall, key)
    until(lambda: paywall.command("audit", "verify").returncode == 0)

    # Without the old secret, what it made is lost, as the page says.
    restart(paywall, PAYWALL_SECRETS=NEW)
    assert paywall.get(f"/v1/decisions/{decision}").status_code == 404
    assert paywall.ask("s", visitor="w", **{"pass": token})["reason"] != "gift"
    paywall.checked("audit", "verify", status=1)
    assert opens(paywall, key), "keys don't depend on it"
    assert paywall.ask("a", reader="r")["reason"] == "grant"
    assert paywall.end() == 0
    paywall.checked("restore", "--replace", str(backup), status=1)
    paywall.env["PAYWALL_SECRETS"] = f"{NEW},{OLD}"
    paywall.checked("restore", "--replace", str(backup))


def test_signing_secret_of_stripe(serve: Serve, store: Server) -> None:
    old, new = "whsec_old_0123456789abcdef", "whsec_new_0123456789abcdef"
    paywall = serve(PAYWALL_WORKERS="1", REDIS_URL=store.url, STRIPE_WEBHOOK_SECRETS=old)
    event = Made.event("charge.updated", {"id": "ch_1", "object": "charge"})

    def accepted(secret: str) -> bool:
        sent = delivery(event, secret=secret, at=time.time())
        status = requests.post(f"{paywall.url}/v1/stripe/webhook", timeout=60, **sent).status_code
        assert status in (200, 400)
        return status == 200

    restart(paywall, STRIPE_WEBHOOK_SECRETS=f"{old},{new}")
    assert [accepted(secret) for secret in (old, new)] == [True, True]
    restart(paywall, STRIPE_WEBHOOK_SECRETS=new)
    assert [accepted(secret) for secret in (old, new)] == [False, True]


def test_password_of_the_store(serve: Serve, launch: Launch) -> None:
    store = launch("redis8", tcp=True, requirepass=OLD)
    address = store.url.replace("redis://", "redis://:{}@")
    paywall = serve(PAYWALL_WORKERS="1", REDIS_URL=address.format(OLD))
    grant = paywall.grant("r")["id"]
    store.admin().acl_setuser("default", enabled=True, passwords=f"+{NEW}")
    restart(paywall, REDIS_URL=address.format(NEW))
    store.admin().acl_setuser("default", enabled=True, passwords=f"-{OLD}")
    assert paywall.ask("a", reader="r")["reason"] == "grant"
    paywall.revoke("r", grant)
    restart(paywall)
    assert paywall.command("doctor").returncode in (0, 1)
    paywall.env["REDIS_URL"] = address.format(OLD)
    assert "cannot be reached" in paywall.command("doctor").stdout
