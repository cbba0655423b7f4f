"""Sign-in with a key, the end of a session, and protection against forged forms."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import Client

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.entrypoints.http.admin.sessions import IDLE_LIMIT, TOTAL_LIMIT, Session, Sessions
from service.entrypoints.http.guards import Principal
from tests.entrypoints.http.admin.conftest import ADMINS, POLICY_WITH_APPROVALS, MakeStaff, Staff, owner_of, plain
from tests.in_process_app import Clock, InProcessApp, MakeApp, UnreadBody
from tests.running_service import ADMIN_KEY, SITE_KEY
from tests.store_servers import wait_until


def sessions(app: InProcessApp, clock: Clock, known: dict[bytes, Principal] | None = None) -> Sessions:
    service = app.service
    return Sessions(
        service.secrets,
        EndedSessions(service.store),
        (known or {}).get,
        clock,
    )


def test_page_without_session_redirects_to_sign_in_and_back(staff: MakeStaff) -> None:
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
def test_sign_in_redirects_only_to_local_paths(staff: MakeStaff, then: str) -> None:
    stranger = staff(None)
    stranger.get("/sign-in")
    assert stranger.post("/sign-in", key=ADMIN_KEY, then=then).headers["Location"] == "/admin/"


def test_session_cookie_does_not_contain_the_key(staff: MakeStaff) -> None:
    someone = staff()
    assert ADMIN_KEY not in someone.cookie()
    assert ADMIN_KEY not in someone.get("/keys").text
    cookie = someone.client.get_cookie("paywall_session", path="/admin")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert cookie.path == "/admin"


def test_session_cookie_over_https_is_secure(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.extra = {"X-Forwarded-Proto": "https"}
    someone.sign_in()
    cookie = someone.client.get_cookie("__Host-paywall_session", path="/")
    assert cookie is not None
    assert (cookie.secure, cookie.path, cookie.domain) == (True, "/", "localhost")
    assert someone.get("/readers").status_code == 200
    assert someone.post("/sign-out").status_code == 303
    assert someone.client.get_cookie("__Host-paywall_session", path="/") is None


def test_cookie_without_the_host_prefix_is_ignored_over_https(staff: MakeStaff) -> None:
    """Another host of the domain can set such a cookie, and so sign a browser in under its own key."""
    attacker, victim = staff(), staff(None)
    victim.extra = {"X-Forwarded-Proto": "https"}
    victim.client.set_cookie("paywall_session", attacker.cookie(), path="/admin")
    assert victim.get("/readers").status_code == 303


def test_wrong_keys_at_sign_in_count_toward_the_api_limit(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff(None)
    someone.address = "192.0.2.9"
    someone.get("/sign-in")
    answer = someone.post("/sign-in", key="wrong")
    assert answer.status_code == 401
    assert "This key is unknown" in answer.text
    statuses = [someone.post("/sign-in", key=f"wrong-{n}").status_code for n in range(30)]
    assert statuses[-1] == 429
    headers = {"Authorization": "Bearer wrong"}
    response = admin_app.client.get("/v1/audit", headers=headers, environ_overrides={"REMOTE_ADDR": "192.0.2.9"})
    assert response.status_code == 429
    assert someone.post("/sign-in", key=ADMIN_KEY).status_code == 303


def test_sign_in_with_site_key_is_refused(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.get("/sign-in")
    assert someone.post("/sign-in", key=SITE_KEY).status_code == 403


def test_session_expires_after_idle_and_total_limit(valkey_app: InProcessApp) -> None:
    clock = Clock()
    kept = sessions(valkey_app, clock)
    cookie = kept.encode_cookie(kept.create("ann", role="owner"))
    clock.now += IDLE_LIMIT - 2
    session = kept.decode_cookie(cookie)
    assert session is not None
    refreshed = kept.refresh(session)
    assert refreshed is not None
    clock.now += 4
    assert kept.decode_cookie(cookie) is None
    assert kept.decode_cookie(kept.encode_cookie(refreshed)) is not None
    started = int(clock.now)
    for _ in range(TOTAL_LIMIT // 1_000 + 1):
        current = kept.decode_cookie(kept.encode_cookie(refreshed))
        if current is None:
            break
        refreshed = kept.refresh(current) or refreshed
        clock.now += 1_000
    assert kept.decode_cookie(kept.encode_cookie(refreshed)) is None
    assert clock.now - started < TOTAL_LIMIT


def test_changed_or_foreign_cookie_is_not_a_session(valkey_app: InProcessApp) -> None:
    kept = sessions(valkey_app, Clock())
    cookie = kept.encode_cookie(kept.create("ann", role="owner"))
    other = "B" if cookie[20] == "A" else "A"
    assert kept.decode_cookie(cookie[:20] + other + cookie[21:]) is None
    assert kept.decode_cookie("x" * 80) is None
    assert kept.decode_cookie("ä") is None
    assert kept.decode_cookie(None) is None
    of_a_decision = valkey_app.service.secrets.sealer("decision").seal(b"[1]")
    assert kept.decode_cookie(of_a_decision) is None


def test_revoked_key_ends_its_sessions(staff: MakeStaff, admin_app: InProcessApp) -> None:
    viewer = staff("viewer")
    assert viewer.get("/audit").status_code == 200
    assert admin_app.call("DELETE", "/v1/keys/the-viewer", admin=True).status_code == 200
    wait_until(lambda: viewer.get("/audit").status_code == 303)
    again = staff("viewer")
    assert again.get("/audit").status_code == 200
    assert viewer.get("/audit").status_code == 303


def test_sign_out_ends_copied_cookie(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff()
    thief = Client(admin_app.client.application)
    thief.set_cookie("paywall_session", someone.cookie(), path="/admin")
    copied = Staff(thief)
    assert copied.get("/readers").status_code == 200
    assert someone.post("/sign-out").status_code == 303
    assert someone.cookie() == ""
    assert copied.get("/readers").status_code == 303


def test_sign_out_everywhere_ends_only_sessions_of_that_user(staff: MakeStaff, make_other: InProcessApp) -> None:
    here, there, ben = staff(), Staff.of(make_other), staff(key="key-of-ben-in-the-tests")
    there.sign_in()
    assert there.get("/readers").status_code == 200
    assert here.post("/sign-out-everywhere").status_code == 303
    wait_until(lambda: there.get("/readers").status_code == 303)
    assert ben.get("/readers").status_code == 200
    assert here.sign_in().status_code == 303
    assert here.get("/readers").status_code == 200


@pytest.fixture
def make_other(make_app: MakeApp, admin_app: InProcessApp, valkey_url: str) -> InProcessApp:
    """Another worker over the same store."""
    return make_app(valkey_url, POLICY_WITH_APPROVALS, PAYWALL_ADMIN_KEYS=ADMINS)


def test_form_without_session_token_is_refused(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone, other = staff(), staff(key="key-of-ben-in-the-tests")
    given: dict[str, Any] = {"sure": "1", "id": "r-1", "what": "plan:vip", "ends": "30", "reason": "press card"}
    for token in ("", "0" * 64, other.token()):
        assert someone.post("/reader/grant", token=token, **given).status_code == 403
    assert not admin_app.reader("r-1")["access"]
    assert someone.post("/reader/grant", **given).status_code == 303
    assert admin_app.reader("r-1")["access"]


def test_cross_site_form_is_refused(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff()
    given: dict[str, Any] = {"sure": "1", "id": "r-1", "what": "plan:vip", "ends": "30", "reason": "press card"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    ):
        answer = someone.post("/reader/grant", headers=headers, **given)
        assert answer.status_code == 403, headers
    assert not admin_app.reader("r-1")["access"]
    same = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert someone.post("/reader/grant", headers=same, **given).status_code == 303


def test_sign_in_with_forged_form_is_refused(staff: MakeStaff) -> None:
    victim = staff(None)
    assert victim.post("/sign-in", key=ADMIN_KEY).status_code == 403
    other = staff(None)
    other.get("/sign-in")
    assert victim.post("/sign-in", token=other.token(), key=ADMIN_KEY).status_code == 403


@pytest.mark.parametrize("cookie", ["", "paywall_session=invented"])
@pytest.mark.parametrize(("path", "status"), [("/sign-in", 403), ("/reader/grant", 401), ("/nothing", 401)])
def test_form_without_session_is_refused_before_the_body(staff: MakeStaff, path: str, status: int, cookie: str) -> None:
    answer = staff(None).client.post(
        f"/admin{path}",
        input_stream=UnreadBody(bytes(1_000)),
        content_type="application/x-www-form-urlencoded",
        headers={"Cookie": cookie},
    )
    assert answer.status_code == status


class CountedBody(BytesIO):
    """A body that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("size", "length", "most"), [(8 << 20, {}, 0), (8 << 20, CHUNKED, 32 * 1024), (17 << 10, {}, 0)]
)
def test_stranger_cannot_have_a_large_form_read(staff: MakeStaff, size: int, length: dict[str, Any], most: int) -> None:
    """Everyone has a session for the form of the sign-in. With uploads of 64 MiB it would fill the memory."""
    stranger = staff(None)
    stranger.get("/sign-in")
    body = CountedBody(f"token={stranger.token()}&key={ADMIN_KEY}&then=".encode() + b"x" * size)
    kind = "application/x-www-form-urlencoded"
    answer = stranger.client.post("/admin/sign-in", input_stream=body, content_type=kind, environ_overrides=length)
    assert answer.status_code == 413
    assert body.taken <= most


@pytest.mark.parametrize("to", ["/sign-in", "/reader/grant"])
def test_chunked_form_is_read_whole_or_refused(staff: MakeStaff, admin_app: InProcessApp, to: str) -> None:
    """Some proxies send each form in chunks. A form cut at its limit would lack its last fields."""
    someone = staff(None if to == "/sign-in" else "owner")
    someone.get("/sign-in" if to == "/sign-in" else "/readers")
    fields = f"token={someone.token()}&key={ADMIN_KEY}&sure=1&id=r-1&what=plan%3Avip&ends=30&reason=press".encode()
    kind, most = "application/x-www-form-urlencoded", (16 if to == "/sign-in" else 256) * 1024

    def send(size: int) -> int:
        body = BytesIO(fields + b"&x=" + b"x" * (size - len(fields) - 3))
        sent: dict[str, Any] = {"input_stream": body, "content_type": kind, "environ_overrides": CHUNKED}
        return someone.client.post(f"/admin{to}", **sent).status_code

    assert send(most + 1) == 413
    assert not admin_app.reader("r-1")["access"]
    assert send(most - 1) == 303


def test_form_after_session_end_changes_nothing(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff()
    token = someone.token()
    someone.client.delete_cookie("paywall_session", path="/admin")
    answer = someone.post("/reader/grant", token=token, id="r-1", what="plan:vip", ends="30", reason="x")
    assert answer.status_code == 401
    assert "Nothing was changed" in plain(answer)
    assert not admin_app.reader("r-1")["access"]


def test_session_and_api_key_do_not_authorize_each_other(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff()
    assert someone.client.get("/v1/audit").status_code == 401
    answer = admin_app.call("GET", "/admin/audit", admin=True)
    assert answer.status_code == 303


def test_every_page_has_strict_security_headers(staff: MakeStaff) -> None:
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
            shown = answer.text.replace("http://www.w3.org/2000/svg", "").replace('<a href="https://', "<a ")
            assert inline not in shown, (path, inline)


def test_cookie_with_older_schema_is_not_a_session(valkey_app: InProcessApp) -> None:
    kept = sessions(valkey_app, Clock())
    assert kept.decode_cookie(valkey_app.service.secrets.sealer("session").seal(b'[0,"x"]')) is None
    assert kept.find_principal(Session("x", None, None, None, 0, 0, 0)) is None


def test_pages_during_store_outage_answer_503(make_app: MakeApp, valkey_url: str) -> None:
    app = make_app(valkey_url, PAYWALL_SECRETS="")
    someone = owner_of(app)
    app.service.store.link.close()
    for path in ("/", "/reader?id=r-1", "/keys", "/events"):
        answer = someone.get(path)
        assert answer.status_code == 503
        assert "nothing can be read or changed" in plain(answer)
        assert answer.headers["Content-Security-Policy"]
    stranger = Staff.of(app)
    assert stranger.get("/sign-in").status_code in (200, 503)


def test_form_token_that_is_not_ascii_is_403(staff: MakeStaff) -> None:
    someone = staff(None)
    someone.get("/sign-in")
    assert someone.post("/sign-in", token="é", key=ADMIN_KEY).status_code == 403


def test_cookie_for_another_purpose_is_no_session(staff: MakeStaff) -> None:
    someone = staff()
    assert someone.post("/sign-out").status_code == 303
    thief = someone.client
    thief.set_cookie("paywall_session", someone.cookie("paywall_said"), path="/admin")
    assert someone.get("/readers").headers["Location"].startswith("/admin/sign-in")


def test_crash_of_a_page_is_counted(staff: MakeStaff, admin_app: InProcessApp) -> None:
    someone = staff()
    key = admin_app.service.store.keys.reader(reader_hash("r-1"))
    admin_app.service.store.link.call(key, b"HSET", key, b"g:x", b"no record")
    assert someone.get("/reader?id=r-1").status_code == 500
    assert "paywall_crashes_total 1.0" in admin_app.client.get("/metrics").text
