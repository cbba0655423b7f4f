"""Data of a former release is read with the same answers.

`former_release.json` holds a store that the service wrote at commit 5f2dcd8, before the redesign: every key with its type and
content, and the answers that the service gave then. It contains grants, an import, subscriptions and a session that arrived
as webhooks without access to Stripe, seats, a link, a merge, an erasure, meters, story passes, a run-time key, an approval,
audit records, policies and decision IDs. Do not record it again: old data must stay readable.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.adapters.crypto import claim_digest
from service.adapters.redis.client.keys import reader_hash
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import SITE_KEY
from tests.store_servers import wait_until
from tests.use_cases.privacy.conftest import holding

FORMER: dict[str, Any] = json.loads((Path(__file__).parent / "former_release.json").read_text("utf-8"))
WRITE = {"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD"}


def unpacked(value: Any) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else str(value).encode()


@pytest.fixture
def restored(make_app: MakeApp, store_url: str) -> InProcessApp:
    """The service on the former release's store, at the moment when it was recorded."""
    app = make_app(store_url, FORMER["policy"], **FORMER["env"])
    link = app.service.store.link
    for name, kind, content in FORMER["keys"]:
        key = unpacked(name)
        values = [unpacked(value) for value in (content if isinstance(content, list) else [content])]
        link.call(key, "DEL", key)
        if kind == "zset":
            pairs = [part for at in range(0, len(values), 2) for part in (values[at + 1], values[at])]
            link.call(key, "ZADD", key, *pairs)
        else:
            link.call(key, WRITE[kind], key, *values)
    app.clock.now = FORMER["now"]
    return app


def call(app: InProcessApp, who: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    key = {"site": SITE_KEY, "ann": "key-of-ann-in-the-tests", "ben": "key-of-ben-in-the-tests"}.get(who, who)
    content: dict[str, Any] = {"data": json.dumps(body), "content_type": "application/json"} if body else {}
    headers = {"Authorization": f"Bearer {key}"}
    answer = app.client.open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}, **content)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def former_fields(answer: Any, former: Any) -> Any:
    """Return an answer without the fields that it has gained since, at every depth."""
    if isinstance(answer, dict) and isinstance(former, dict):
        return {name: former_fields(value, former[name]) for name, value in answer.items() if name in former}
    if isinstance(answer, list) and isinstance(former, list) and len(answer) == len(former):
        return [former_fields(*pair) for pair in zip(answer, former, strict=True)]
    return answer


def test_every_answer_is_the_same(restored: InProcessApp) -> None:
    for asked in FORMER["requests"]:
        answer = call(restored, asked["who"], asked["method"], asked["path"], asked["body"])
        assert former_fields(answer, asked["answer"]) == asked["answer"], asked["path"]


def test_audit_chain_is_valid_and_grows(restored: InProcessApp) -> None:
    service = restored.service
    verdict = service.audit_verifier.verify()
    assert (verdict.fault, verdict.refused) == (None, 0)
    call(restored, "ben", "POST", f"/v1/approvals/{FORMER['approval']}")
    assert call(restored, "ann", "GET", "/v1/readers/r-long")["access"] is True
    after = service.audit_verifier.verify()
    assert after.fault is None
    assert after.checked > verdict.checked


def test_stored_subscriptions_take_seats_and_merges(restored: InProcessApp) -> None:
    group = call(restored, "ann", "PUT", "/v1/subscriptions/sub_group/seats/r-new")
    assert [seat["reader"] for seat in group["seats"]] == ["r-seat", "r-new"]
    assert call(restored, "ann", "GET", "/v1/readers/r-new")["access"] is True
    call(restored, "ann", "POST", "/v1/readers/r-heir/merge", {"from": "r-sub"})
    sources = call(restored, "ann", "GET", "/v1/readers/r-heir")["sources"]
    assert {source["type"] for source in sources} == {"subscription", "grant"}
    assert call(restored, "ann", "GET", "/v1/readers/r-sub")["sources"] == sources


def test_reader_of_the_former_release_is_erased_without_a_testable_trace(restored: InProcessApp) -> None:
    """The former release stored hashes of IDs in fingerprints and in story passes."""
    link = restored.service.store.link

    def traces(*readers: str) -> list[bytes]:
        found = [reader_hash(reader).decode() for reader in readers] + [claim_digest(reader) for reader in readers]
        return holding(link, *readers, *found)

    assert traces("r-sub")
    call(restored, "ann", "DELETE", "/v1/readers/r-sub?reason=gdpr&force=true")
    assert traces("r-sub") == []
    # This one was erased by the former release. Its mark counts, and retention rewrites it.
    assert restored.service.erased.last_erased_at("r-gone") is not None
    assert list(restored.service.retention.iterate_steps(FORMER["now"]))
    assert restored.service.erased.last_erased_at("r-gone") is not None
    assert [key for key in traces("r-gone") if b"erased" in key] == []


def test_links_of_the_former_release_verify_with_the_published_keys(restored: InProcessApp) -> None:
    """The former public key is published while such a pass is listed, and only then: it allows fast guesses."""
    title = restored.service.store.keys.shared("title")
    restored.service.store.link.call(title, "SET", title, int(FORMER["now"]) + 1)
    token = next(asked["body"]["pass"] for asked in FORMER["requests"] if asked["body"] and "pass" in asked["body"])
    head, payload, signature = token.split(".")
    kid = json.loads(plain(head))["kid"]
    keys = restored.client.get("/.well-known/jwks.json").get_json()["keys"]
    (key,) = [key for key in keys if key["kid"] == kid]
    Ed25519PublicKey.from_public_bytes(plain(key["x"])).verify(plain(signature), f"{head}.{payload}".encode())
    assert keys[0]["kid"] != kid


def test_former_public_key_is_not_published_without_former_passes(make_app: MakeApp, store_url: str) -> None:
    app = make_app(store_url, FORMER["policy"], **FORMER["env"])
    wait_until(lambda: app.service.titles.registered_at() is not None)
    body = {"story": "s", "openings": 1, "until": "2033-06-01T00:00:00Z", "reason": "x"}
    assert app.call("POST", "/v1/passes", body, admin=True).status_code == 201
    assert len(app.client.get("/.well-known/jwks.json").get_json()["keys"]) == 1


def plain(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
