"""One service for the tests of the docs, with the repository's own `paywall.toml`, as a reader of the docs has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_service import Paywall, make_serve

WEBHOOK_SECRET = "whsec_of_the_tests_of_the_docs"
CONFIG = Path(__file__).parents[2] / "config" / "paywall.toml"


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paywall]:
    """Run the service as the README does: with an embedded store, and without Stripe."""
    running: list[Paywall] = []
    serve = make_serve(tmp_path_factory.mktemp("documented"), running)
    yield serve(CONFIG.read_text(), STRIPE_WEBHOOK_SECRETS=WEBHOOK_SECRET, PAYWALL_WORKERS="1")
    for one in running:
        one.close()
