"""Test the OpenID Connect variables: their meaning, validation, and that the required ones come together."""

from __future__ import annotations

import pytest

from service.adapters.openid.settings import OpenIdSettings
from service.settings.settings import load_settings
from tests.settings.test_settings import CONFIG, EVERYTHING, SECRET, mistakes

NEEDED = {
    "PAYWALL_OIDC_ISSUER": "https://login.example.news",
    "PAYWALL_OIDC_CLIENT_ID": "paywall",
    "PAYWALL_OIDC_CLIENT_SECRET": SECRET,
    "PAYWALL_OIDC_ROLES": "desk:granter",
    "PAYWALL_PUBLIC_URL": "https://paywall.example.news",
}


def test_all_openid_variables_are_read() -> None:
    assert load_settings(EVERYTHING).openid == OpenIdSettings(
        issuer="https://login.example.news/realms/staff",
        client_id="paywall",
        client_secret=f"{SECRET}-of-the-client",
        roles=(("desk", "granter"), ("chiefs", "owner"), ("uk:library", "viewer")),
        public_url="https://paywall.example.news",
        groups_claim="roles",
        name_claim="preferred_username",
        scopes=("email", "roles"),
    )


def test_optional_openid_variables_have_defaults() -> None:
    found = load_settings(CONFIG | NEEDED).openid
    assert found is not None
    assert (found.groups_claim, found.name_claim, found.scopes) == ("groups", "email", ())
    assert found.host == "login.example.news"
    assert found.redirect_uri == "https://paywall.example.news/admin/sign-in/return"
    assert load_settings(CONFIG).openid is None
    assert load_settings(CONFIG | {"PAYWALL_PUBLIC_URL": "https://paywall.example.news"}).openid is None


@pytest.mark.parametrize("variable", NEEDED)
def test_missing_required_openid_variable_is_named(variable: str) -> None:
    found = mistakes({name: value for name, value in NEEDED.items() if name != variable})
    assert len(found) == 1
    assert f"set also {variable}" in next(iter(found.values()))


def test_openid_claim_without_required_variables_is_rejected() -> None:
    assert set(NEEDED) <= set(
        mistakes({"PAYWALL_OIDC_NAME_CLAIM": "sub"})["PAYWALL_OIDC_NAME_CLAIM"].replace(",", "").split()
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PAYWALL_OIDC_ISSUER", "http://login.example.news"),
        ("PAYWALL_OIDC_ISSUER", "login.example.news"),
        ("PAYWALL_OIDC_ISSUER", f"https://ann:{SECRET}@login.example.news"),
        ("PAYWALL_OIDC_ISSUER", "https://login.example.news/?realm=staff"),
        ("PAYWALL_OIDC_CLIENT_ID", "pay wall"),
        ("PAYWALL_OIDC_CLIENT_SECRET", f"{SECRET} {SECRET}"),
        ("PAYWALL_OIDC_CLIENT_SECRET", f"{SECRET}é"),
        ("PAYWALL_OIDC_ROLES", "desk"),
        ("PAYWALL_OIDC_ROLES", ":granter"),
        ("PAYWALL_OIDC_ROLES", "desk:"),
        ("PAYWALL_OIDC_ROLES", "desk:site"),
        ("PAYWALL_OIDC_ROLES", "desk:Owner"),
        ("PAYWALL_OIDC_ROLES", "desk:granter,"),
        ("PAYWALL_OIDC_ROLES", "desk:granter,desk:owner"),
        ("PAYWALL_OIDC_GROUPS_CLAIM", "g" * 129),
        ("PAYWALL_OIDC_NAME_CLAIM", "\u202eemail"),
        ("PAYWALL_OIDC_SCOPES", "email größe"),
        ("PAYWALL_PUBLIC_URL", "http://paywall.example.news"),
        ("PAYWALL_PUBLIC_URL", "https://paywall.example.news/admin"),
        ("PAYWALL_PUBLIC_URL", "https://paywall.example.news/"),
        ("PAYWALL_PUBLIC_URL", "paywall.example.news"),
    ],
)
def test_invalid_openid_value_names_its_variable_and_no_secret(variable: str, value: str) -> None:
    found = mistakes(NEEDED | {variable: value})
    assert list(found) == [variable]
    assert SECRET not in found[variable]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_http_is_accepted_on_localhost(host: str) -> None:
    here = {"PAYWALL_OIDC_ISSUER": f"http://{host}:9000/", "PAYWALL_PUBLIC_URL": f"http://{host}:8000"}
    found = load_settings(CONFIG | NEEDED | here).openid
    assert found is not None
    assert found.issuer == f"http://{host}:9000/"
