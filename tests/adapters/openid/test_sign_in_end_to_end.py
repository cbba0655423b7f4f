"""Test sign-in with a real identity provider, from the sign-in page to a grant, with and without a browser."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.adapters.openid.browser_session import BrowserSession
from tests.adapters.openid.conftest import PASSWORD, IdentityProvider
from tests.entrypoints.http.admin.conftest import SHOTS
from tests.entrypoints.http.admin.keyboard_user import KeyboardUser, accessibility_errors
from tests.running_service import Paywall
from tests.store_servers import Until

pytestmark = pytest.mark.full


def signed_in(openid_service: Paywall, name: str, path: str = "/admin") -> BrowserSession:
    """Sign in through the provider's forms, starting at a page that requires it."""
    one = BrowserSession().go(openid_service.url + path).follow("/admin/sign-in/begin")
    one.send("login", login=name).send("password", password=PASSWORD)
    # The provider asks for consent once for each service.
    return one.send("answer", answer="accept") if "/oauth/authorize" in one.here.url else one


def grant(one: BrowserSession, reader: str, ends: str) -> BrowserSession:
    one.go(f"/admin/reader?id={reader}")
    return one.send("what", id=reader, what="plan:vip", ends=ends, reason="press card")


def asked(one: BrowserSession, beginning: str) -> dict[str, list[str]]:
    """Return the query of the first visited URL that starts with `prefix`."""
    return parse_qs(urlsplit(next(each for each in one.been if each.startswith(beginning))).query)


def test_sign_in_redirects_to_the_provider_and_back_to_the_page(
    openid_service: Paywall, identity_provider: IdentityProvider
) -> None:
    ann = signed_in(openid_service, "ann", "/admin/reader?id=r-1")
    assert ann.here.status_code == 200
    assert ann.here.url == f"{openid_service.url}/admin/reader?id=r-1"
    assert "oidc:ann@example.news" in ann.here.text
    began = asked(ann, f"{identity_provider.issuer}/oauth/authorize")
    assert began["code_challenge_method"] == ["S256"]
    assert began["redirect_uri"] == [f"{openid_service.url}/admin/sign-in/return"]
    assert set(began["scope"][0].split()) == {"openid", "email", "profile", "groups"}


def test_log_and_page_contain_no_code_token_or_secret(openid_service: Paywall, until: Until) -> None:
    ann = signed_in(openid_service, "ann")
    until(lambda: '"route":"/admin/sign-in/return"' in openid_service.log)
    returned = asked(ann, f"{openid_service.url}/admin/sign-in/return")
    for word in (returned["code"][0], returned["state"][0], openid_service.env["PAYWALL_OIDC_CLIENT_SECRET"], "eyJ"):
        assert word not in openid_service.log
        assert word not in ann.here.text
    assert "paywall_sign_in" not in ann.session.cookies.get_dict()


def test_groups_map_to_roles_and_the_highest_counts(openid_service: Paywall) -> None:
    for name, role in (("vic", "Viewer"), ("ann", "Editor or support (granter)"), ("olga", "Owner")):
        assert f"{role} – " in signed_in(openid_service, name).here.text, name


def test_audit_names_the_openid_user_and_the_grant_applies(openid_service: Paywall) -> None:
    ann = grant(signed_in(openid_service, "ann"), "r-9", "30")
    assert "Access granted." in ann.here.text
    assert openid_service.ask({"id": "a-story", "tier": "supporters"}, reader="r-9", count=False)["show"] == "full"
    assert openid_service.get("/v1/audit").json()["items"][0]["actor"] == "oidc:ann@example.news"


def test_own_approval_cannot_be_confirmed_in_another_session(openid_service: Paywall) -> None:
    grant(signed_in(openid_service, "ann"), "r-8", "never")
    again, olga = signed_in(openid_service, "ann"), signed_in(openid_service, "olga")
    approval = openid_service.get("/v1/approvals").json()["items"][0]
    assert approval["asked_by"] == "oidc:ann@example.news"
    assert "You requested this yourself" in again.go("/admin/approvals").here.text
    fields = next(fields for about, fields in again.forms() if about.get("action") == "/admin/approvals/refuse")
    assert again.go("/admin/approvals/confirm", **fields).here.status_code == 409
    assert len(openid_service.get("/v1/approvals").json()["items"]) == 1
    assert "The change is in effect." in olga.go("/admin/approvals").send("/approvals/confirm").here.text
    assert openid_service.get("/v1/approvals").json()["items"] == []


def test_user_without_a_mapped_group_is_refused_with_the_reason(
    openid_service: Paywall, identity_provider: IdentityProvider
) -> None:
    nora = signed_in(openid_service, "nora")
    assert nora.here.status_code == 403
    host = identity_provider.issuer[7:]
    assert f"{host} knows you, but none of your groups has access to these pages." in nora.here.text
    assert "code=" not in nora.here.url
    assert "/admin/sign-in" in nora.go("/admin/readers").here.url


def test_sign_in_denied_at_the_provider_is_reported(openid_service: Paywall) -> None:
    one = BrowserSession().go(f"{openid_service.url}/admin").follow("/admin/sign-in/begin")
    one.send("login", login="dora").send("password", password=PASSWORD).send("answer", answer="deny")
    assert one.here.status_code == 403
    assert "did not sign you in" in one.here.text


def test_replayed_callback_signs_in_no_admin(openid_service: Paywall) -> None:
    ann = signed_in(openid_service, "ann")
    address = next(each for each in ann.been if each.startswith(f"{openid_service.url}/admin/sign-in/return"))
    thief = BrowserSession().go(address)
    assert thief.here.status_code == 400
    assert "started in another window" in thief.here.text
    assert ann.go(address).here.url == f"{openid_service.url}/admin/"


def test_doctor_checks_the_provider(openid_service: Paywall, identity_provider: IdentityProvider) -> None:
    text = openid_service.command("doctor").stdout
    assert f"{identity_provider.issuer} answers; it must redirect to {openid_service.url}/admin/sign-in/return" in text
    openid_service.env["PAYWALL_OIDC_ISSUER"] = f"{identity_provider.issuer}/"
    assert "its issuer differs from" in openid_service.command("doctor").stdout


@pytest.fixture
def by_name(openid_service: Paywall, identity_provider: IdentityProvider) -> Paywall:
    """Start the service on another site than the provider: browsers treat `localhost` and `127.0.0.1` as two sites."""
    openid_service.end()
    openid_service.env.update(identity_provider.register(f"http://localhost:{openid_service.port}"))
    return openid_service.start()


@pytest.fixture
def page(chromium: Browser) -> Page:
    return chromium.new_context(viewport={"width": 1120, "height": 760}, color_scheme="light").new_page()


@pytest.mark.browser
def test_openid_sign_in_works_by_keyboard_in_a_browser(
    page: Page, by_name: Paywall, identity_provider: IdentityProvider
) -> None:
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if "Security Policy" in line.text else None)
    hands = KeyboardUser(page, by_name.env["PAYWALL_PUBLIC_URL"]).open("/admin/reader?id=r-7").to("a.button.main")
    assert accessibility_errors(page) == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "admin-walk-openid-sign-in.png", full_page=True)
    page.keyboard.press("Enter")
    page.wait_for_selector("#login")
    ours = [line for line in said if hands.url in line]
    hands.type("#login", "bea")
    page.keyboard.press("Enter")
    hands.type("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=accept], .menu summary")
    if page.url.startswith(identity_provider.issuer):  # It asks once.
        page.screenshot(path=SHOTS / "admin-walk-openid-consent.png", full_page=True)
        hands.press("button[value=accept]")
    page.wait_for_url(f"{hands.url}/admin/reader?id=r-7")
    assert "oidc:bea@example.news" in page.inner_text(".menu summary")
    hands.fold("Grant access").type("#reason-new", "press card").send("#give button", "Access granted.")
    assert by_name.ask({"id": "a-story", "tier": "supporters"}, reader="r-7", count=False)["show"] == "full"
    page.screenshot(path=SHOTS / "admin-walk-openid-granted.png", full_page=True)
    hands.press(".menu summary").send("form[action$='everywhere'] button", "You are signed out on every device.")
    assert ours == []


@pytest.mark.browser
def test_openid_sign_in_page_works_on_a_dark_phone(chromium: Browser, openid_service: Paywall) -> None:
    page = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark").new_page()
    page.goto(f"{openid_service.url}/admin/sign-in?refused=no_group")
    assert accessibility_errors(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=SHOTS / "admin-openid-refused-dark-390.png", full_page=True)
