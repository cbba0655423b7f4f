"""Fixtures: a real identity provider as a process, a fake one, and a service that trusts either."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.test import TestResponse

from tests.adapters.openid.fake_provider import CLIENT, SECRET, FakeProvider
from tests.entrypoints.http.admin import conftest as pages
from tests.entrypoints.http.admin.conftest import Staff
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import Paywall, Serve
from tests.store_servers import free_port, wait_until

PASSWORD = "correct horse battery"
ROLES = "library:viewer,desk:granter,chiefs:owner"


@dataclass
class IdentityProvider:
    """A running Canaille process."""

    issuer: str
    process: subprocess.Popen[bytes]

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=60).status_code == 200
        except requests.ConnectionError:
            return False

    def register(self, public_url: str) -> dict[str, str]:
        """Register the service dynamically (RFC 7591) and return the settings to start it with."""
        asked = {
            "client_name": "The Ledger's paywall",
            "redirect_uris": [f"{public_url}/admin/sign-in/return"],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": "openid profile email groups",
            "token_endpoint_auth_method": "client_secret_basic",
        }
        answer = requests.post(f"{self.issuer}/oauth/register", json=asked, timeout=60)
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return {
            "PAYWALL_OIDC_ISSUER": self.issuer,
            "PAYWALL_OIDC_CLIENT_ID": body["client_id"],
            "PAYWALL_OIDC_CLIENT_SECRET": body["client_secret"],
            "PAYWALL_OIDC_ROLES": ROLES,
            "PAYWALL_PUBLIC_URL": public_url,
        }


@pytest.fixture(scope="session")
def identity_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    port, folder = free_port(), tmp_path_factory.mktemp("identity_provider")
    program = Path(__file__).with_name("identity_provider.py")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(program), str(port), PASSWORD], stdout=log, stderr=log, cwd=folder
        )
    try:
        found = IdentityProvider(f"http://127.0.0.1:{port}", process)
        wait_until(found.answers)
        yield found
    finally:
        process.terminate()
        process.wait(60)


KNOWN_READERS = ("r-1", "r-7", "r-8", "r-9")
"""They have read a story: the staff page asks before it grants access to an unknown ID."""


@pytest.fixture
def openid_service(serve: Serve, identity_provider: IdentityProvider, valkey_url: str) -> Paywall:
    """Start a service that trusts the identity provider, with two owners by key, and readers whom it knows."""
    running = serve(pages.POLICY_WITH_APPROVALS, start=False, REDIS_URL=valkey_url, PAYWALL_ADMIN_KEYS=pages.ADMINS)
    running.env.update(identity_provider.register(running.url))
    running.start()
    for reader in KNOWN_READERS:
        running.ask("a-metered-story", reader=reader)
    return running


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """Run a provider whose answers a test chooses."""
    made = FakeProvider()
    yield made
    made.close()


def settings_of(fake_provider: FakeProvider) -> dict[str, str]:
    return {
        "PAYWALL_OIDC_ISSUER": fake_provider.issuer,
        "PAYWALL_OIDC_CLIENT_ID": CLIENT,
        "PAYWALL_OIDC_CLIENT_SECRET": SECRET,
        "PAYWALL_OIDC_ROLES": ROLES,
        "PAYWALL_PUBLIC_URL": "http://localhost",
    }


@dataclass
class Visitor:
    """A user who signs in to the staff page through the fake provider; `staff` has their browser."""

    staff: Staff
    fake_provider: FakeProvider

    def begin(self, then: str = "") -> str:
        """Begin a sign-in and return the URL of the provider."""
        answer = self.staff.get("/sign-in/begin", query_string={"then": then} if then else {})
        assert answer.status_code == 303
        return str(answer.headers["Location"])

    def come_back(self, address: str, **changed: str | None) -> TestResponse:
        """Return from the provider with a code and the state, changed as asked."""
        sent = {"code": self.fake_provider.grants(address), "state": self.state(address), **changed}
        return self.staff.get("/sign-in/return", query_string={k: v for k, v in sent.items() if v is not None})

    def sign_in(self, then: str = "") -> TestResponse:
        return self.come_back(self.begin(then))

    @staticmethod
    def state(address: str) -> str:
        return parse_qs(urlsplit(address).query)["state"][0]

    def inside(self) -> bool:
        return self.staff.get("/readers").status_code == 200


@pytest.fixture
def openid_app(make_app: MakeApp, valkey_url: str, fake_provider: FakeProvider) -> InProcessApp:
    """Return an in-process app that trusts the fake provider."""
    return make_app(valkey_url, pages.POLICY_WITH_APPROVALS, **settings_of(fake_provider))


@pytest.fixture
def visitor(openid_app: InProcessApp, fake_provider: FakeProvider) -> Visitor:
    return Visitor(Staff.of(openid_app), fake_provider)
