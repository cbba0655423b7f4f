"""Fixtures of the page tests: staff users with a test client, and a browser."""

from __future__ import annotations

import html
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext
from werkzeug.test import Client, TestResponse

from demo.sample_month import fill_with_lookalike
from service.adapters.stripe.webhook import Envelope
from service.bootstrap import build
from service.domain.catalogue import DAY
from service.settings.settings import load_settings
from stripe_lookalike import serve_lookalike
from tests.browser import PATIENCE
from tests.entrypoints.http.admin.keyboard_user import KeyboardUser
from tests.in_process_app import Clock, InProcessApp, MakeApp
from tests.running_service import ADMIN_KEY, WITH_GROUPS, Paywall, make_serve
from tests.store_servers import server
from tests.stripe_fixtures import Made

SHOTS = Path(__file__).parents[4] / "test-output" / "screenshots"
ADMINS = f"ann:{ADMIN_KEY},ben:key-of-ben-in-the-tests"
POLICY_WITH_APPROVALS = WITH_GROUPS + '\n[grants]\nconfirm_above = { readers = 100, length = "400d" }\n'


@dataclass
class Staff:
    """A staff user without a browser: keeps cookies, sends form tokens, follows no redirect."""

    client: Client
    here: str = ""
    address: str = "127.0.0.1"
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, app: InProcessApp) -> Staff:
        """Return a user of this app who is not signed in."""
        return cls(Client(app.client.application))

    def get(self, path: str, **more: Any) -> TestResponse:
        answer = self.client.get(
            f"/admin{path}", environ_overrides={"REMOTE_ADDR": self.address}, headers=self.extra, **more
        )
        if answer.status_code in (200, 404) and answer.mimetype == "text/html":
            self.here = answer.text
        return answer

    def token(self) -> str:
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.here)
        return found.group(1) if found else ""

    def mark(self) -> str:
        found = re.search(r'name="once" value="([^"]+)"', self.here)
        return found.group(1) if found else ""

    def post(
        self, path: str, *, token: str | None = None, headers: dict[str, str] | None = None, **form: Any
    ) -> TestResponse:
        """Send a form; write fields that Python reserves with a trailing `_`."""
        given = {name.rstrip("_"): value for name, value in form.items()}
        return self.client.post(
            f"/admin{path}",
            data={"token": self.token() if token is None else token, **given},
            headers={**self.extra, **(headers or {})},
            environ_overrides={"REMOTE_ADDR": self.address},
        )

    def sign_in(self, key: str = ADMIN_KEY) -> TestResponse:
        self.get("/sign-in")
        answer = self.post("/sign-in", key=key)
        if answer.status_code == 303:
            self.get("/readers")
        return answer

    def cookie(self, name: str = "paywall_session") -> str:
        found = self.client.get_cookie(name, path="/admin")
        return found.value if found is not None else ""


def plain(answer: TestResponse) -> str:
    """Return a page's text without markup."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.text)))


def owner_of(app: InProcessApp) -> Staff:
    """Return a user who is signed in to this app with the first admin key."""
    one = Staff.of(app)
    assert one.sign_in().status_code == 303
    return one


MakeStaff = Callable[..., Staff]


@pytest.fixture
def admin_app(make_app: MakeApp, valkey_url: str) -> InProcessApp:
    """The application with two owners, and a policy that needs approval beyond 400 days."""
    return make_app(valkey_url, POLICY_WITH_APPROVALS, PAYWALL_ADMIN_KEYS=ADMINS)


@pytest.fixture
def staff(admin_app: InProcessApp) -> MakeStaff:
    """Return a user: `staff()` is an owner, `staff("granter")` has a key of that role, `staff(None)` is not signed in."""

    def make(role: str | None = "owner", *, key: str | None = None) -> Staff:
        one = Staff.of(admin_app)
        if role is None:
            return one
        if role != "owner" and key is None:
            made = admin_app.call("POST", "/v1/keys", {"name": f"the-{role}", "role": role}, admin=True)
            assert made.status_code == 201, made.text
            key = made.get_json()["key"]
        assert one.sign_in(key or ADMIN_KEY).status_code == 303
        return one

    return make


@pytest.fixture
def clock(admin_app: InProcessApp) -> Clock:
    return admin_app.clock


def granted(app: InProcessApp, reader: str, **more: Any) -> dict[str, Any]:
    """Create a grant with the API that is short enough to need no approval."""
    end = datetime.fromtimestamp(app.clock.now + 90 * 86_400, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return app.grant(reader, **{"until": end, **more})


def deliver_subscription(
    app: InProcessApp, name: str, price: str, reader: str | None, event: str = "evt_1", **more: Any
) -> None:
    """Deliver an event about a subscription to three of a price."""
    now = int(app.clock())
    changes = {
        "id": name,
        "customer": f"cus_{name}",
        "created": now,
        "metadata": {"reader_id": reader} if reader else {},
    }
    bought = Made.subscription(**{**changes, **more})
    bought["items"]["data"][0] |= {
        "price": {"id": price, "lookup_key": None, "product": "prod_of_nobody"},
        "quantity": 3,
        "current_period_start": now,
        "current_period_end": now + 30 * DAY,
    }
    envelope = Envelope(event, "customer.subscription.updated", now, False, None, bought)
    app.service.event_processor.receive_event(envelope, app.clock())


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, short_folder: Path) -> Iterator[Paywall]:
    """Return a service with a month of data, here and at the Stripe look-alike.

    The tests of a file share it: each changes readers of its own.
    """
    running: list[Paywall] = []
    store = server("valkey", Path(tempfile.mkdtemp(dir=short_folder)), tcp=False, settings={}).start()
    with serve_lookalike() as stripe:
        lived = make_serve(tmp_path_factory.mktemp("lived"), running)(
            POLICY_WITH_APPROVALS,
            REDIS_URL=store.url,
            PAYWALL_ADMIN_KEYS=ADMINS,
            STRIPE_API_KEY="sk_test_demo",
            STRIPE_API_BASE=stripe.url,
        )
        service = build(load_settings(lived.env), store.url)
        service.start()
        try:
            assert service.store.link.wait(60)
            fill_with_lookalike(service)
        finally:
            service.close()
        yield lived
        lived.close()
    store.close()


OpenBrowser = Callable[..., KeyboardUser]


@pytest.fixture
def open_browser(chromium: Browser, lived: Paywall) -> Iterator[OpenBrowser]:
    """Return a user: `open_browser(key, scheme, width)`. Requests to other hosts and errors in the page fail the test."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def down(key: str | None = ADMIN_KEY, scheme: str = "light", width: int = 1280) -> KeyboardUser:
        size = {"width": width, "height": 900}
        context = chromium.new_context(viewport=size, color_scheme=scheme, timezone_id="America/New_York")  # type: ignore[arg-type]  # plain words
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda sent: None if sent.url.startswith(lived.url) else wrong.append(sent.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
        hands = KeyboardUser(page, lived.url)
        return hands.sign_in(key) if key is not None else hands

    yield down
    for context in opened:
        context.close()
    assert wrong == []


def shot(hands: KeyboardUser, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    hands.page.screenshot(path=SHOTS / f"admin-{name}.png", full_page=True)
