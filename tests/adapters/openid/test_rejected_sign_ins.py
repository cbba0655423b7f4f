"""Test which provider answers sign in nobody: openid_app and stale tokens, foreign callbacks, users without a role."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.adapters.openid.conftest import Visitor, settings_of
from tests.adapters.openid.fake_provider import SECRET, FakeProvider, b64, hs256, unsigned
from tests.entrypoints.http.admin.conftest import POLICY_WITH_APPROVALS, Staff, owner_of, plain
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import ADMIN_KEY

pytestmark = pytest.mark.full

Lie = Callable[[FakeProvider], object]


def half_hash(token: str) -> str:
    return b64(sha256(token.encode()).digest()[:16])


def says(**claims: Any) -> Lie:
    return lambda fake_provider: fake_provider.claims.update(claims)


def signs(sign: Callable[[FakeProvider, dict[str, Any]], str]) -> Lie:
    def lie(fake_provider: FakeProvider) -> None:
        fake_provider.sign = lambda claims: sign(fake_provider, claims)

    return lie


def public_key_as_secret(fake_provider: FakeProvider, claims: dict[str, Any]) -> str:
    """Sign with HS256 and the provider's public key as the secret."""
    return hs256(claims, fake_provider.key.as_pem(private=False))


def signed_by_own_key(fake_provider: FakeProvider, claims: dict[str, Any]) -> str:
    """Sign with a key that the provider does not publish, and send it along."""
    key = RSAKey.generate_key(2048, {"kid": "first"})
    return fake_provider.signed(claims, key, jwk=key.as_dict(private=False))


def _published_okp(fake_provider: FakeProvider) -> OKPKey:
    key = OKPKey.generate_key("Ed25519", {"kid": "okp"})
    fake_provider.keys.append(key)
    return key


LIES: dict[str, Lie] = {
    "for another audience": says(aud="another"),
    "for another audience in a list": says(aud=["another"]),
    "for another audience, by us": says(aud=["another"], azp="paywall"),
    "for two audiences without azp": says(aud=["another", "paywall"]),
    "for two, by the other": says(aud=["another", "paywall"], azp="another"),
    "of another issuer": says(iss="https://login.example.org"),
    "of nobody": says(iss=None),
    "over": says(exp=int(time.time()) - 120),
    "without an end": says(exp=None),
    "with a text as its end": says(exp="2099-01-01"),
    "from tomorrow": says(iat=int(time.time()) + 86_400),
    "without a date": says(iat=None),
    "not yet begun": says(nbf=int(time.time()) + 86_400),
    "of another attempt": says(nonce="of-another-attempt"),
    "of no attempt": says(nonce=None),
    "of this attempt and another": signs(
        lambda fake_provider, claims: fake_provider.signed(claims | {"nonce": [claims["nonce"], "of-another-attempt"]})
    ),
    "of a number as its subject": says(sub=7),
    "with the hash of no access token": says(at_hash="é"),
    "with a header that must be understood": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, crit=["unknown"], unknown=1)
    ),
    "signed by the key in its header": signs(lambda fake_provider, claims: signed_by_own_key(fake_provider, claims)),
    "signed by EdDSA": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, _published_okp(fake_provider), "Ed25519")
    ),
    "of no subject": says(sub=None),
    "with another access token": says(at_hash=half_hash("another-token")),
    "unsigned": signs(lambda fake_provider, claims: unsigned(claims)),
    "signed with the client's secret": signs(lambda fake_provider, claims: hs256(claims, SECRET.encode())),
    "signed with the public key as a secret": signs(public_key_as_secret),
    "signed by another key of that name": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, RSAKey.generate_key(2048, {"kid": "first"}))
    ),
    "signed by an unknown key": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, RSAKey.generate_key(2048, {"kid": "unknown"}))
    ),
    "not a token": signs(lambda fake_provider, claims: "not.a.token"),
    "no text": signs(lambda fake_provider, claims: None),  # type: ignore[arg-type,return-value]  # that is the lie
    "with userinfo of another subject": lambda fake_provider: (
        says(groups=None)(fake_provider),
        fake_provider.userinfo.update(sub="8"),
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_invalid_id_token_signs_in_no_admin(visitor: Visitor, fake_provider: FakeProvider, lie: Lie) -> None:
    lie(fake_provider)
    answer = visitor.sign_in()
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/sign-in?refused=unaccepted")
    response = visitor.staff.get("/sign-in?refused=unaccepted")
    assert response.status_code == 403
    assert f"The response of {fake_provider.issuer[7:]} is not valid" in plain(response)
    assert not visitor.inside()


TRUTHS: dict[str, Lie] = {
    "as it comes": says(),
    "for two, by us": says(aud=["another", "paywall"], azp="paywall"),
    "with the access token's hash": says(at_hash=half_hash("an-access-token-of-the-tests")),
    "over since some seconds": lambda fake_provider: says(exp=int(time.time()) - 5)(fake_provider),
    "with one group as a text": says(groups="desk"),
    "with more groups": says(groups=["everybody", "library", "desk", 7]),
    "with an e-mail address in capitals": says(email="ANN@Example.news", email_verified=True),
    "with the rest at userinfo": lambda fake_provider: (
        says(groups=None, email=None)(fake_provider),
        fake_provider.userinfo.update(groups=["desk"], email="ann@example.news", email_verified=True),
    ),
    "verified by userinfo": lambda fake_provider: (
        says(email_verified=None)(fake_provider),
        fake_provider.userinfo.update(email="ann@example.news", email_verified=True),
    ),
    "verified as a text": says(email_verified="true"),
    "signed by PS256": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, _taken(fake_provider, RSAKey), "PS256")
    ),
    "signed by ES256": signs(
        lambda fake_provider, claims: fake_provider.signed(claims, _taken(fake_provider, ECKey), "ES256")
    ),
    "signed with headers of its own": signs(lambda fake_provider, claims: fake_provider.signed(claims, x5t="abc")),
}


def _taken(fake_provider: FakeProvider, kind: type[RSAKey] | type[ECKey]) -> RSAKey | ECKey:
    made: RSAKey | ECKey = (
        RSAKey.generate_key(2048, {"kid": "other"}) if kind is RSAKey else ECKey.generate_key("P-256", {"kid": "other"})
    )
    fake_provider.keys.append(made)
    return made


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS.keys())
def test_valid_id_token_signs_in_with_name_and_role(visitor: Visitor, fake_provider: FakeProvider, truth: Lie) -> None:
    truth(fake_provider)
    answer = visitor.sign_in("/reader?id=r-1")
    assert answer.headers["Location"] == "/admin/reader?id=r-1"
    page = visitor.staff.get("/readers").text
    assert "oidc:ann@example.news" in page
    assert "Editor or support (granter) – " in page


@pytest.mark.parametrize(
    ("claims", "userinfo", "kind"),
    [
        ({"groups": ["sports"]}, {}, "no_group"),
        ({"groups": []}, {}, "no_group"),
        ({"groups": None}, {}, "no_group"),
        ({"groups": {"desk": True}}, {}, "no_group"),
        ({"groups": "desk,library"}, {}, "no_group"),
        ({"email": None}, {}, "no_name"),
        ({"email": 7}, {}, "no_name"),
        ({"email": ""}, {}, "no_name"),
        ({"email": "ann\u202e@example.news"}, {}, "no_name"),
        ({"email": "a" * 129}, {}, "no_name"),
        ({"email_verified": False}, {}, "unverified"),
        ({"email_verified": "false"}, {}, "unverified"),
        ({"email": None}, {"email": "ann@example.news", "email_verified": False}, "unverified"),
        ({"email_verified": None}, {}, "unverified"),
        ({"email_verified": "yes"}, {}, "unverified"),
        ({"email": None, "email_verified": None}, {"email": "ann@example.news"}, "unverified"),
        ({"email_verified": None}, {"email": "other@example.news", "email_verified": True}, "unverified"),
    ],
)
def test_user_without_role_or_name_is_refused_with_the_reason(
    visitor: Visitor, fake_provider: FakeProvider, claims: dict[str, Any], userinfo: dict[str, Any], kind: str
) -> None:
    fake_provider.claims, fake_provider.userinfo = claims, userinfo
    assert visitor.sign_in().headers["Location"] == f"/admin/sign-in?refused={kind}"
    assert visitor.staff.get(f"/sign-in?refused={kind}").status_code == 403
    assert not visitor.inside()


def test_callback_with_another_state_is_refused_and_the_attempt_kept(visitor: Visitor) -> None:
    address = visitor.begin()
    for state in (None, "", "another", "ä"):
        assert "refused=lost" in visitor.come_back(address, state=state).headers["Location"]
    assert not visitor.inside()
    assert visitor.come_back(address).headers["Location"] == "/admin/"
    assert visitor.inside()


def test_callback_in_another_browser_is_refused(visitor: Visitor, openid_app: InProcessApp) -> None:
    victim = Visitor(Staff.of(openid_app), visitor.fake_provider)
    assert "refused=lost" in victim.come_back(visitor.begin()).headers["Location"]
    victim.begin()
    assert "refused=lost" in victim.come_back(visitor.begin()).headers["Location"]
    assert not victim.inside()


def test_callback_counts_once_even_with_a_copied_cookie(visitor: Visitor, openid_app: InProcessApp) -> None:
    address = visitor.begin()
    cookie = visitor.staff.client.get_cookie("paywall_sign_in", path="/admin/sign-in")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.max_age) == (True, "Lax", 600)
    code, state = visitor.fake_provider.grants(address), visitor.state(address)
    sent = {"code": code, "state": state}
    assert visitor.staff.get("/sign-in/return", query_string=sent).headers["Location"] == "/admin/"
    assert visitor.staff.client.get_cookie("paywall_sign_in", path="/admin/sign-in") is None
    thief = Staff.of(openid_app)
    thief.client.set_cookie("paywall_sign_in", cookie.value, path="/admin/sign-in")
    assert "refused=unaccepted" in thief.get("/sign-in/return", query_string=sent).headers["Location"]
    assert thief.get("/readers").status_code == 303


def test_code_of_another_attempt_is_refused(visitor: Visitor, openid_app: InProcessApp) -> None:
    other = Visitor(Staff.of(openid_app), visitor.fake_provider)
    stolen = visitor.fake_provider.grants(other.begin())
    assert "refused=unaccepted" in visitor.come_back(visitor.begin(), code=stolen).headers["Location"]
    assert not visitor.inside()


def test_callback_of_another_issuer_is_refused(visitor: Visitor, fake_provider: FakeProvider) -> None:
    assert "unaccepted" in visitor.come_back(visitor.begin(), iss="https://login.example.org").headers["Location"]
    assert visitor.come_back(visitor.begin(), iss=fake_provider.issuer).headers["Location"] == "/admin/"


def test_callback_without_issuer_is_refused_when_the_provider_sends_it(
    visitor: Visitor, fake_provider: FakeProvider
) -> None:
    fake_provider.described["authorization_response_iss_parameter_supported"] = True
    assert "unaccepted" in visitor.sign_in().headers["Location"]


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>alert(1)</script>"])
def test_provider_error_is_shown_in_our_words(visitor: Visitor, error: str) -> None:
    answer = visitor.come_back(visitor.begin(), code=None, error=error)
    assert answer.headers["Location"] == "/admin/sign-in?refused=denied"
    response = visitor.staff.get("/sign-in?refused=denied")
    assert response.status_code == 403
    assert error not in response.text


def test_provider_error_without_state_is_ignored(visitor: Visitor) -> None:
    visitor.begin()
    answer = visitor.staff.get("/sign-in/return", query_string={"error": "access_denied"})
    assert "refused=lost" in answer.headers["Location"]


def test_unreachable_provider_leaves_sign_in_by_key(visitor: Visitor, fake_provider: FakeProvider) -> None:
    fake_provider.close()
    answer = visitor.staff.get("/sign-in/begin?then=/audit")
    assert answer.headers["Location"] == "/admin/sign-in?refused=away&then=/audit"
    response = visitor.staff.get("/sign-in?refused=away&then=/audit")
    assert response.status_code == 503
    assert "is unavailable" in plain(response)
    assert visitor.staff.sign_in().status_code == 303
    assert visitor.inside()
    assert ADMIN_KEY not in visitor.staff.here


@pytest.mark.parametrize("path", ["/token", "/keys", "/.well-known/openid-configuration"])
@pytest.mark.parametrize("status", [302, 500])
def test_failing_provider_request_signs_in_no_admin(
    visitor: Visitor, fake_provider: FakeProvider, path: str, status: int
) -> None:
    if "well-known" in path:
        fake_provider.broken[path] = status
        assert "refused=away" in visitor.begin()
        return
    address = visitor.begin()
    fake_provider.broken[path] = status
    found = visitor.come_back(address).headers["Location"]
    assert "refused=away" in found or (path, status, found[-10:]) == ("/token", 302, "unaccepted")
    assert not visitor.inside()


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://login.example.org"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
        {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
    ],
)
def test_unusable_provider_metadata_refuses_sign_in(
    visitor: Visitor, fake_provider: FakeProvider, described: dict[str, Any]
) -> None:
    fake_provider.described = described
    assert visitor.begin() == "/admin/sign-in?refused=away"


def test_redirect_after_sign_in_stays_within_the_staff_page(visitor: Visitor) -> None:
    for then in ("//evil.example", "https://evil.example/", "/\\evil.example", "/" + "a" * 2_000):
        assert visitor.sign_in(then).headers["Location"] == "/admin/", then


def test_sessions_end_when_the_openid_settings_change(
    visitor: Visitor, fake_provider: FakeProvider, make_app: MakeApp, openid_app: InProcessApp
) -> None:
    visitor.sign_in()
    cookie = visitor.staff.cookie()
    same = settings_of(fake_provider)

    def inside(**env: str) -> bool:
        url = openid_app.service.settings.redis_url
        other = Staff.of(make_app(url or "", POLICY_WITH_APPROVALS, **env))
        other.client.set_cookie("paywall_session", cookie, path="/admin")
        return other.get("/readers").status_code == 200

    assert inside(**same)
    assert inside(**same | {"PAYWALL_OIDC_CLIENT_SECRET": "a-new-secret"})
    assert not inside()
    assert not inside(**same | {"PAYWALL_OIDC_ROLES": "desk:viewer"})
    assert not inside(**same | {"PAYWALL_OIDC_ISSUER": "https://login.example.org"})


def test_sign_out_everywhere_ends_all_sessions_of_that_admin_only(visitor: Visitor, openid_app: InProcessApp) -> None:
    again = Visitor(Staff.of(openid_app), visitor.fake_provider)
    visitor.sign_in()
    again.sign_in()
    ann = owner_of(openid_app)
    assert visitor.inside()
    assert again.inside()
    assert visitor.staff.post("/sign-out-everywhere").status_code == 303
    assert not again.inside()
    assert ann.get("/readers").status_code == 200
    visitor.sign_in()
    assert visitor.inside()


def test_key_name_in_the_form_of_a_user_name_is_422(openid_app: InProcessApp) -> None:
    for name in ("oidc:ann@example.news", "cli:ann", "site:web"):
        assert openid_app.call("POST", "/v1/keys", {"name": name, "role": "owner"}, admin=True).status_code == 422


def test_sign_in_button_is_shown_only_when_configured(
    visitor: Visitor, make_app: MakeApp, openid_app: InProcessApp
) -> None:
    assert f"Sign in with {visitor.fake_provider.issuer[7:]}" in visitor.staff.get("/sign-in").text
    without = Staff.of(make_app(openid_app.service.settings.redis_url or ""))
    assert "Sign in with" not in without.get("/sign-in?refused=away").text
    for path in ("/sign-in/begin", "/sign-in/return?code=1&state=2"):
        assert without.get(path).status_code == 404


def test_provider_is_asked_only_when_sign_in_begins(visitor: Visitor, fake_provider: FakeProvider) -> None:
    visitor.staff.get("/sign-in")
    assert fake_provider.asked == []
    for _ in range(3):
        visitor.sign_in()
    assert fake_provider.asked.count("/.well-known/openid-configuration") == 1
    assert fake_provider.asked.count("/keys") == 1
    assert "/userinfo" not in fake_provider.asked
