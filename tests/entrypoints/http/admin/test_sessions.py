"""Who is signed in and for how long: by key, until it is idle, old, signed out or ended; and forms that nobody can forge."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client

from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.entrypoints.http.admin.sessions import IDLE, LONGEST, Session, Sessions
from service.entrypoints.http.guards import Principal
from tests.adapters.redis.conftest import wait_until
from tests.entrypoints.http.admin.conftest import ADMINS, POLICY_WITH_APPROVALS, MakeStaff, Staff, plain
from tests.serving import ADMIN_KEY, SITE_KEY
from tests.within import Clock, DeskApp, MakeDesk


def sessions(desk: DeskApp, clock: Clock, known: dict[bytes, Principal] | None = None) -> Sessions:
    service = desk.service
    return Sessions(
        lambda: service.secrets.sealer("session"),
        lambda: service.secrets.signer("session"),
        EndedSessions(service.store),
        (known or {}).get,
        clock,
    )


def test_who_is_not_signed_in_is_led_to_the_door_and_back(staff: MakeStaff) -> None:
    stranger = staff(None)
    answer = stranger.get("/reader?id=r-1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/admin/sign-in?then=/reader?id%3Dr-1"
    stranger.get("/sign-in?then=/reader?id%3Dr-1")
    answer = stranger.post("/sign-in", key=ADMIN_KEY, then="/reader?id=r-1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/reader?id=r-1")


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_signing_in_leads_nowhere_else(staff: MakeStaff, then: str) -> None:
    stranger = staff(None)
    stranger.get("/sign-in")
    assert stranger.post("/sign-in", key=ADMIN_KEY, then=then).headers["Location"] == "/admin/"


def test_the_key_is_kept_nowhere(staff: MakeStaff) -> None:
    someone = staff()
    assert ADMIN_KEY not in someone.cookie()
    assert ADMIN_KEY not in someone.get("/keys").text
    cookie = someone.client.get_cookie("paywall_session", path="/admin")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert cookie.path == "/admin"


def test_by_https_the_cookie_is_for_https_alone(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.extra = {"X-Forwarded-Proto": "https"}
    someone.sign_in()
    cookie = someone.client.get_cookie("paywall_session", path="/admin")
    assert cookie is not None
    assert cookie.secure


def test_wrong_keys_are_told_so_and_count_like_those_of_the_api(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone = staff(None)
    someone.address = "192.0.2.9"
    someone.get("/sign-in")
    answer = someone.post("/sign-in", key="wrong")
    assert answer.status_code == 401
    assert "not known" in answer.text
    statuses = [someone.post("/sign-in", key=f"wrong-{n}").status_code for n in range(30)]
    assert statuses[-1] == 429
    headers = {"Authorization": "Bearer wrong"}
    told = admin_desk.client.get("/v1/audit", headers=headers, environ_overrides={"REMOTE_ADDR": "192.0.2.9"})
    assert told.status_code == 429
    assert someone.post("/sign-in", key=ADMIN_KEY).status_code == 303


def test_the_websites_key_signs_nobody_in(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.get("/sign-in")
    assert someone.post("/sign-in", key=SITE_KEY).status_code == 403


def test_a_session_ends_after_half_an_hour_of_rest_and_after_twelve_hours(desk: DeskApp) -> None:
    clock = Clock()
    kept = sessions(desk, clock)
    cookie = kept.seal(kept.begin("ann", role="owner"))
    clock.now += IDLE - 2
    session = kept.open(cookie)
    assert session is not None
    touched = kept.touched(session)
    assert touched is not None
    clock.now += 4
    assert kept.open(cookie) is None
    assert kept.open(kept.seal(touched)) is not None
    begun = int(clock.now)
    for _ in range(LONGEST // 1_000 + 1):
        current = kept.open(kept.seal(touched))
        if current is None:
            break
        touched = kept.touched(current) or touched
        clock.now += 1_000
    assert kept.open(kept.seal(touched)) is None
    assert clock.now - begun < LONGEST


def test_a_cookie_that_was_changed_or_made_elsewhere_is_none(desk: DeskApp) -> None:
    kept = sessions(desk, Clock())
    cookie = kept.seal(kept.begin("ann", role="owner"))
    other = "B" if cookie[20] == "A" else "A"
    assert kept.open(cookie[:20] + other + cookie[21:]) is None
    assert kept.open("x" * 80) is None
    assert kept.open("ä") is None
    assert kept.open(None) is None
    forged = desk.service.secrets.sealer("decision").seal(b"[1]")
    assert kept.open(forged) is None


def test_a_key_that_ends_takes_its_sessions_along(staff: MakeStaff, admin_desk: DeskApp) -> None:
    viewer = staff("viewer")
    assert viewer.get("/audit").status_code == 200
    assert admin_desk.call("DELETE", "/v1/keys/the-viewer", admin=True).status_code == 200
    wait_until(lambda: viewer.get("/audit").status_code == 303, 2)
    again = staff("viewer")
    assert again.get("/audit").status_code == 200
    assert viewer.get("/audit").status_code == 303


def test_signing_out_ends_a_copied_cookie_too(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone = staff()
    thief = Client(admin_desk.client.application)
    thief.set_cookie("paywall_session", someone.cookie(), path="/admin")
    copied = Staff(thief)
    assert copied.get("/readers").status_code == 200
    assert someone.post("/sign-out").status_code == 303
    assert someone.cookie() == ""
    assert copied.get("/readers").status_code == 303


def test_signing_out_everywhere_ends_every_session_of_that_name_and_no_other(
    staff: MakeStaff, make_other: DeskApp
) -> None:
    here, there, ben = staff(), Staff(Client(make_other.client.application)), staff(key="key-of-ben")
    there.sign_in()
    assert there.get("/readers").status_code == 200
    assert here.post("/sign-out-everywhere").status_code == 303
    wait_until(lambda: there.get("/readers").status_code == 303, 2)
    assert ben.get("/readers").status_code == 200
    assert here.sign_in().status_code == 303
    assert here.get("/readers").status_code == 200


@pytest.fixture
def make_other(make_desk: MakeDesk, admin_desk: DeskApp, valkey_url: str) -> DeskApp:
    """Another worker over the same store."""
    return make_desk(valkey_url, POLICY_WITH_APPROVALS, PAYWALL_ADMIN_KEYS=ADMINS)


def test_a_form_without_its_sessions_token_is_refused(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone, other = staff(), staff(key="key-of-ben")
    given: dict[str, Any] = {"id": "r-1", "what": "plan:vip", "ends": "30", "reason": "press card"}
    for token in ("", "0" * 64, other.token()):
        assert someone.post("/reader/grant", token=token, **given).status_code == 403
    assert not admin_desk.reader("r-1")["access"]
    assert someone.post("/reader/grant", **given).status_code == 303
    assert admin_desk.reader("r-1")["access"]


def test_a_form_from_another_site_is_refused(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone = staff()
    given: dict[str, Any] = {"id": "r-1", "what": "plan:vip", "ends": "30", "reason": "press card"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    ):
        answer = someone.post("/reader/grant", headers=headers, **given)
        assert answer.status_code == 403, headers
    assert not admin_desk.reader("r-1")["access"]
    same = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert someone.post("/reader/grant", headers=same, **given).status_code == 303


def test_signing_in_by_a_forged_form_is_refused(staff: MakeStaff) -> None:
    victim = staff(None)
    assert victim.post("/sign-in", key=ADMIN_KEY).status_code == 403
    other = staff(None)
    other.get("/sign-in")
    assert victim.post("/sign-in", token=other.token(), key=ADMIN_KEY).status_code == 403


def test_after_the_end_of_a_session_a_form_changes_nothing_and_says_so(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone = staff()
    token = someone.token()
    someone.client.delete_cookie("paywall_session", path="/admin")
    answer = someone.post("/reader/grant", token=token, id="r-1", what="plan:vip", ends="30", reason="x")
    assert answer.status_code == 401
    assert "nothing was changed" in plain(answer)
    assert not admin_desk.reader("r-1")["access"]


def test_neither_a_session_opens_the_api_nor_a_header_the_page(staff: MakeStaff, admin_desk: DeskApp) -> None:
    someone = staff()
    assert someone.client.get("/v1/audit").status_code == 401
    answer = admin_desk.call("GET", "/admin/audit", admin=True)
    assert answer.status_code == 303


def test_every_page_forbids_what_is_not_its_own(staff: MakeStaff) -> None:
    someone = staff()
    for path in ("/", "/readers", "/reader?id=r-1", "/nothing", "/keys", "/sign-in"):
        answer = someone.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for inline in (" style=", " onclick=", "<style", "hx-on", "javascript:", "http://", "https://"):
            assert inline not in answer.text.replace("http://www.w3.org/2000/svg", ""), (path, inline)


def test_an_older_schema_is_no_session(desk: DeskApp) -> None:
    kept = sessions(desk, Clock())
    assert kept.open(desk.service.secrets.sealer("session").seal(b'[0,"x"]')) is None
    assert kept.principal(Session("x", None, None, None, 0, 0, 0)) is None


def test_without_the_store_the_page_says_so_and_stays_a_page(make_desk: MakeDesk, valkey_url: str) -> None:
    desk = make_desk(valkey_url, PAYWALL_SECRETS="")
    someone = Staff(Client(desk.client.application))
    someone.sign_in()
    desk.service.store.link.close()
    for path in ("/", "/reader?id=r-1", "/keys", "/events"):
        answer = someone.get(path)
        assert answer.status_code == 503
        assert "Nothing can be read or changed now" in plain(answer)
        assert answer.headers["Content-Security-Policy"]
    stranger = Staff(Client(desk.client.application))
    assert stranger.get("/sign-in").status_code in (200, 503)
