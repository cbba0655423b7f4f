"""What these tests share: a real identity provider as a process, one that lies, and a service that trusts either."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.admin import conftest as pages
from tests.openid.forger import Forger
from tests.serving import Paywall, Serve
from tests.store.conftest import free_port, wait_until

browser = pages.browser
ROLES = "library:viewer,desk:granter,chiefs:owner"


@dataclass
class Identities:
    """Canaille, running."""

    issuer: str
    process: subprocess.Popen[bytes]

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def register(self, public_url: str) -> dict[str, str]:
        """Makes the service known there, by dynamic registration; gives the settings to start it with."""
        asked = {
            "client_name": "The Ledger's paywall",
            "redirect_uris": [f"{public_url}/admin/sign-in/return"],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": "openid profile email groups",
            "token_endpoint_auth_method": "client_secret_basic",
        }
        answer = requests.post(f"{self.issuer}/oauth/register", json=asked, timeout=10)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        return {
            "PAYWALL_OIDC_ISSUER": self.issuer,
            "PAYWALL_OIDC_CLIENT_ID": told["client_id"],
            "PAYWALL_OIDC_CLIENT_SECRET": told["client_secret"],
            "PAYWALL_OIDC_ROLES": ROLES,
            "PAYWALL_PUBLIC_URL": public_url,
        }


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identities]:
    port, folder = free_port(), tmp_path_factory.mktemp("identities")
    program = Path(__file__).with_name("identity_provider.py")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(program), str(port)], stdout=log, stderr=log, cwd=folder)
    try:
        found = Identities(f"http://127.0.0.1:{port}", process)
        wait_until(found.answers, 60)
        yield found
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def trusting(serve: Serve, identities: Identities) -> Paywall:
    """A service that takes people of the identity provider, with two owners by key."""
    running = serve(pages.POLICY_WITH_APPROVALS, start=False, PAYWALL_ADMIN_KEYS=pages.ADMINS)
    running.env.update(identities.register(running.url))
    return running.start()


@pytest.fixture
def forger() -> Iterator[Forger]:
    """A provider that says what a test wants."""
    made = Forger()
    yield made
    made.close()
