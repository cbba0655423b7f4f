"""Test known entitlements after changes by admins: an outage never restores what was revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.in_process_app import Clock

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

ALL = ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]


class Ticking(Clock):
    """A clock that advances at each reading."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def features(app: InProcessApp, reader: str) -> list[str]:
    answer = app.ask("a", reader=reader)
    assert answer["degraded"] is True
    found: list[str] = answer["features"]
    return found


def test_unrevoked_entitlements_stay_known_in_an_outage(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    app = make_app(store.url, clock=Ticking())
    app.clock.at("2082-12-10T12:00:00Z")
    shortened, revoked = app.grant("r")["id"], app.grant("s")["id"]
    app.grant("s", plan="quiet")
    for reader in ("r", "s"):
        app.ask("a", reader=reader)
    body = {"until": "2082-12-10T13:00:00Z", "reason": "x"}
    assert app.call("PATCH", f"/v1/readers/r/grants/{shortened}", body, admin=True).status_code == 200
    assert app.call("DELETE", f"/v1/readers/s/grants/{revoked}?reason=x", admin=True).status_code == 200
    store.end()
    assert features(app, "s") == ["no_ads"]
    assert features(app, "r") == ALL
    app.clock.at("2082-12-10T13:00:00Z")
    assert features(app, "r") == []


def merge(app: InProcessApp, gone: str, stays: str) -> None:
    answer = app.call("POST", f"/v1/readers/{stays}/merge", {"from": gone}, admin=True)
    assert answer.status_code == 200, answer.text


def test_known_entitlements_follow_a_merge(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    app = make_app(store.url, clock=Ticking())
    for reader in ("seen-before", "seen-after", "never-seen"):
        app.grant(reader)
    app.ask("a", reader="seen-before")
    for reader in ("seen-before", "seen-after", "never-seen"):
        merge(app, reader, f"heir-of-{reader}")
    app.ask("a", reader="seen-after")
    store.end()
    for reader in ("seen-before", "seen-after"):
        assert features(app, reader) == features(app, f"heir-of-{reader}") == ALL
    assert features(app, "never-seen") == features(app, "heir-of-never-seen") == []


def test_revocation_after_a_merge_removes_known_entitlements_of_all_ids(make_app: MakeApp, launch: Any) -> None:
    store = launch("valkey")
    app = make_app(store.url, clock=Ticking())
    grants = {reader: app.grant(reader)["id"] for reader in ("seen-before", "seen-after", "twice")}
    for reader in ("seen-before", "twice"):
        app.ask("a", reader=reader)
    for reader in grants:
        merge(app, reader, f"heir-of-{reader}")
    merge(app, "heir-of-twice", "heir-of-heir")
    app.ask("a", reader="seen-after")
    for reader, grant in grants.items():
        answer = app.call("DELETE", f"/v1/readers/{reader}/grants/{grant}?reason=x", admin=True)
        assert answer.status_code == 200, answer.text
    store.end()
    for reader in grants:
        assert features(app, reader) == features(app, f"heir-of-{reader}") == []
