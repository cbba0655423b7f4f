"""Who was seen as entitled lately: what an admin takes away an outage does not bring back, and what is left it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.within import Clock

if TYPE_CHECKING:
    from tests.within import DeskApp, MakeDesk

ALL = ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]


class Ticking(Clock):
    """Each look at it is a moment later, as with any clock."""

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def features(desk: DeskApp, reader: str) -> list[str]:
    answer = desk.ask("a", reader=reader)
    assert answer["degraded"] is True
    found: list[str] = answer["features"]
    return found


def test_what_is_held_still_stays_known(make_desk: MakeDesk, launch: Any) -> None:
    store = launch("valkey")
    desk = make_desk(store.url, clock=Ticking())
    desk.clock.at("2026-12-10T12:00:00Z")
    shortened, revoked = desk.grant("r")["id"], desk.grant("s")["id"]
    desk.grant("s", plan="quiet")
    for reader in ("r", "s"):
        desk.ask("a", reader=reader)
    body = {"until": "2026-12-10T13:00:00Z", "reason": "x"}
    assert desk.call("PATCH", f"/v1/readers/r/grants/{shortened}", body, admin=True).status_code == 200
    assert desk.call("DELETE", f"/v1/readers/s/grants/{revoked}?reason=x", admin=True).status_code == 200
    store.end()
    assert features(desk, "s") == ["no_ads"]
    assert features(desk, "r") == ALL
    desk.clock.at("2026-12-10T13:00:00Z")
    assert features(desk, "r") == []
