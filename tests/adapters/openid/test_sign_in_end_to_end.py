"""Signing in by a real identity provider, from the door to a changed story: without a browser, and in one."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.adapters.openid.browser_session import Wanderer
from tests.adapters.openid.conftest import PASSWORD, Identities
from tests.entrypoints.http.admin.conftest import SHOTS
from tests.entrypoints.http.admin.keyboard_user import KeyboardUser, accessibility_errors
from tests.running_service import Paywall


def signed_in(trusting: Paywall, name: str, path: str = "/admin") -> Wanderer:
    """From a page that asks for a sign-in, through the provider's forms, to where that leads."""
    one = Wanderer().go(trusting.url + path).follow("/admin/sign-in/begin")
    one.send("login", login=name).send("password", password=PASSWORD)
    # The provider asks for her consent once for each service.
    return one.send("answer", answer="accept") if "/oauth/authorize" in one.here.url else one


def grant(one: Wanderer, reader: str, ends: str) -> Wanderer:
    one.go(f"/admin/reader?id={reader}")
    return one.send("what", id=reader, what="plan:vip", ends=ends, reason="press card")


def asked(one: Wanderer, beginning: str) -> dict[str, list[str]]:
    """The query of the first address that the browser went to there."""
    return parse_qs(urlsplit(next(each for each in one.been if each.startswith(beginning))).query)


def test_sign_in_redirects_to_the_provider_and_back_to_the_page(trusting: Paywall, identities: Identities) -> None:
    ann = signed_in(trusting, "ann", "/admin/reader?id=r-1")
    assert ann.here.status_code == 200
    assert ann.here.url == f"{trusting.url}/admin/reader?id=r-1"
    assert "oidc:ann@example.news" in ann.here.text
    began = asked(ann, f"{identities.issuer}/oauth/authorize")
    assert began["code_challenge_method"] == ["S256"]
    assert began["redirect_uri"] == [f"{trusting.url}/admin/sign-in/return"]
    assert set(began["scope"][0].split()) == {"openid", "email", "profile", "groups"}


def test_log_and_page_contain_no_code_token_or_secret(trusting: Paywall) -> None:
    ann = signed_in(trusting, "ann")
    returned = asked(ann, f"{trusting.url}/admin/sign-in/return")
    for word in (returned["code"][0], returned["state"][0], trusting.env["PAYWALL_OIDC_CLIENT_SECRET"], "eyJ"):
        assert word not in trusting.log
        assert word not in ann.here.text
    assert '"route":"/admin/sign-in/return"' in trusting.log
    assert "paywall_sign_in" not in ann.session.cookies.get_dict()


def test_groups_map_to_roles_and_the_highest_counts(trusting: Paywall) -> None:
    for name, role in (("vic", "Viewer"), ("ann", "Granter"), ("olga", "Owner")):
        assert f"{role} – " in signed_in(trusting, name).here.text, name


def test_audit_names_the_openid_user_and_the_grant_applies(trusting: Paywall) -> None:
    ann = grant(signed_in(trusting, "ann"), "r-9", "30")
    assert "Access granted." in ann.here.text
    assert trusting.ask({"id": "a-story", "tier": "supporters"}, reader="r-9", count=False)["show"] == "full"
    assert trusting.get("/v1/audit").json()["items"][0]["actor"] == "oidc:ann@example.news"


def test_own_approval_cannot_be_confirmed_in_another_session(trusting: Paywall) -> None:
    grant(signed_in(trusting, "ann"), "r-8", "never")
    again, olga = signed_in(trusting, "ann"), signed_in(trusting, "olga")
    approval = trusting.get("/v1/approvals").json()["items"][0]
    assert approval["asked_by"] == "oidc:ann@example.news"
    assert "You requested this yourself" in again.go("/admin/approvals").here.text
    fields = next(fields for about, fields in again.forms() if about.get("action") == "/admin/approvals/refuse")
    assert again.go("/admin/approvals/confirm", **fields).here.status_code == 409
    assert len(trusting.get("/v1/approvals").json()["items"]) == 1
    assert "The change is in effect." in olga.go("/admin/approvals").send("/approvals/confirm").here.text
    assert trusting.get("/v1/approvals").json()["items"] == []


def test_user_without_a_mapped_group_is_refused_with_the_reason(trusting: Paywall, identities: Identities) -> None:
    nora = signed_in(trusting, "nora")
    assert nora.here.status_code == 403
    assert f"You are known to {identities.issuer[7:]}, but none of your groups may use this page." in nora.here.text
    assert "code=" not in nora.here.url
    assert "/admin/sign-in" in nora.go("/admin/readers").here.url


def test_sign_in_denied_at_the_provider_is_reported(trusting: Paywall) -> None:
    one = Wanderer().go(f"{trusting.url}/admin").follow("/admin/sign-in/begin")
    one.send("login", login="dora").send("password", password=PASSWORD).send("answer", answer="deny")
    assert one.here.status_code == 403
    assert "did not sign you in" in one.here.text


def test_replayed_callback_signs_in_no_admin(trusting: Paywall) -> None:
    ann = signed_in(trusting, "ann")
    address = next(each for each in ann.been if each.startswith(f"{trusting.url}/admin/sign-in/return"))
    thief = Wanderer().go(address)
    assert thief.here.status_code == 400
    assert "started in another window" in thief.here.text
    assert ann.go(address).here.url == f"{trusting.url}/admin/"


def test_doctor_checks_the_provider(trusting: Paywall, identities: Identities) -> None:
    told = trusting.command("doctor").stdout
    assert f"{identities.issuer} answers; it must redirect to {trusting.url}/admin/sign-in/return" in told
    trusting.env["PAYWALL_OIDC_ISSUER"] = f"{identities.issuer}/"
    assert "its issuer differs from" in trusting.command("doctor").stdout


@pytest.fixture
def by_name(trusting: Paywall, identities: Identities) -> Paywall:
    """The service at another site than the provider, as browsers see it: `localhost` and `127.0.0.1` are two."""
    trusting.end()
    trusting.env.update(identities.register(f"http://localhost:{trusting.port}"))
    return trusting.start()


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 1120, "height": 760}, color_scheme="light").new_page()


@pytest.mark.browser
@pytest.mark.full
def test_openid_sign_in_works_by_keyboard_in_a_browser(page: Page, by_name: Paywall, identities: Identities) -> None:
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if "Security Policy" in line.text else None)
    hands = KeyboardUser(page, by_name.env["PAYWALL_PUBLIC_URL"]).open("/admin/reader?id=r-7").to("a.button.main")
    assert accessibility_errors(page) == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "admin-walk-openid-door.png", full_page=True)
    page.keyboard.press("Enter")
    page.wait_for_selector("#login")
    ours = [line for line in said if hands.url in line]
    hands.type("#login", "bea")
    page.keyboard.press("Enter")
    hands.type("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=accept], .menu summary")
    if page.url.startswith(identities.issuer):  # It asks once.
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
@pytest.mark.full
def test_openid_sign_in_page_works_on_a_dark_phone(browser: Browser, trusting: Paywall) -> None:
    page = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark").new_page()
    page.goto(f"{trusting.url}/admin/sign-in?refused=no_group")
    assert accessibility_errors(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=SHOTS / "admin-openid-refused-dark-390.png", full_page=True)
