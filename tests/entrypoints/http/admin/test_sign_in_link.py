"""A link that signs a browser in once: what it opens, when it is used up, and what does not use it up."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from service.adapters.crypto import key_digest
from service.adapters.redis.staff.sign_in_links import VALID_FOR, SignInLinks
from service.entrypoints.cli import main
from tests.entrypoints.http.admin.conftest import ADMINS, POLICY_WITH_APPROVALS, MakeStaff, plain
from tests.in_process_app import InProcessApp
from tests.running_service import ADMIN_KEY, environment


def link(app: InProcessApp, key: str = ADMIN_KEY) -> str:
    token = SignInLinks(app.service.store).create(key_digest(key), "cli:ann")
    return f"/sign-in/link?token={token}"


def test_link_signs_in_once(staff: MakeStaff, admin_app: InProcessApp, capfd: pytest.CaptureFixture[str]) -> None:
    path, first, second = link(admin_app), staff(None), staff(None)
    answer = first.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/")
    assert first.get("/").status_code == 200
    assert "ann" in plain(first.get("/keys"))
    again = second.get(path)
    assert again.status_code == 403
    assert "This link was used already" in plain(again)
    assert second.get("/").status_code == 303
    assert second.sign_in().status_code == 303, "the page has a form that works"
    line = next(line for line in capfd.readouterr().out.splitlines() if "signed_in_by_link" in line)
    assert (json.loads(line)["name"], json.loads(line)["made_by"]) == ("ann", "cli:ann")


def test_link_is_not_used_up_by_a_look_or_a_prefetch(staff: MakeStaff, admin_app: InProcessApp) -> None:
    path, someone = link(admin_app), staff(None)
    assert someone.client.head(f"/admin{path}").status_code == 403
    assert someone.client.get(f"/admin{path}", headers={"Sec-Purpose": "prefetch;prerender"}).status_code == 403
    assert someone.get(path).status_code == 303


@pytest.mark.parametrize("key", ["a-key-that-nobody-has-in-this-test", "site"])
def test_link_for_an_unknown_key_signs_in_nobody(staff: MakeStaff, admin_app: InProcessApp, key: str) -> None:
    someone = staff(None)
    assert someone.get(link(admin_app, key)).status_code == 403
    assert someone.get("/sign-in/link").status_code == 403
    assert someone.get("/").status_code == 303


def test_revoked_key_ends_the_session_of_its_link(staff: MakeStaff, admin_app: InProcessApp) -> None:
    key = admin_app.call("POST", "/v1/keys", {"name": "temp", "role": "viewer"}, admin=True).get_json()["key"]
    someone = staff(None)
    assert someone.get(link(admin_app, key)).status_code == 303
    assert someone.get("/").status_code == 200
    staff().post("/keys/end", name="temp", sure="1")
    assert someone.get("/").status_code == 303


def test_token_is_stored_as_a_hash_and_expires(admin_app: InProcessApp) -> None:
    store = admin_app.service.store
    token = link(admin_app).partition("token=")[2]
    keys = [bytes(key) for page in store.link.scan_nodes(b"pw:{admin}link:*") for key in page]
    (key,) = keys
    assert token.encode() not in key
    assert token.encode() not in store.link.call(key, b"GET", key)
    assert 0 < store.link.call(key, b"TTL", key) <= VALID_FOR


def test_command_prints_a_link_for_a_key_of_either_kind(
    staff: MakeStaff, admin_app: InProcessApp, valkey_url: str, tmp_path: Path
) -> None:
    admin_app.call("POST", "/v1/keys", {"name": "desk-team", "role": "granter"}, admin=True)
    env = environment(tmp_path, POLICY_WITH_APPROVALS, {"REDIS_URL": valkey_url, "PAYWALL_ADMIN_KEYS": ADMINS})

    def typed(*words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["sign-in-link", *words], env=env, prog_name="paywall")
        return done.exit_code, done.stdout, done.stderr

    status, out, _ = typed("--json", "--url", "https://paywall.example.news/")
    assert (status, json.loads(out)["name"], json.loads(out)["role"]) == (0, "ann", "owner")
    assert json.loads(out)["url"].startswith("https://paywall.example.news/admin/sign-in/link?token=")
    status, out, _ = typed("--json", "--key", "desk-team")
    assert json.loads(out)["role"] == "granter"
    there = urlsplit(json.loads(out)["url"])
    someone = staff(None)
    assert someone.get(f"{there.path.removeprefix('/admin')}?{there.query}").status_code == 303
    assert someone.get("/imports").status_code == 200
    assert typed("--key", "nobody")[0] == 1
    assert typed("--url", "paywall.example.news")[0] == 2
    del env["PAYWALL_ADMIN_KEYS"]
    status, _, err = typed()
    assert status == 1
    assert "PAYWALL_ADMIN_KEYS is not set here" in err
