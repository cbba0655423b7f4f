"""Test requests to an OpenID provider: caching, changed keys, and the limit on waiting threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from joserfc.jwk import RSAKey

from service.adapters.openid.attempt import ATTEMPT_SECONDS, SignInAttempt, SignInFailed
from service.adapters.openid.provider import (
    CACHE_SECONDS,
    KEY_REFRESH_INTERVAL,
    MAX_THREADS,
    MAX_THREADS_OF_AN_ADDRESS,
    PAUSE_SECONDS,
    OpenIdProvider,
)
from service.adapters.openid.settings import OpenIdSettings
from service.adapters.openid.sign_in import SignIn
from tests.adapters.openid.fake_provider import CLIENT, SECRET, FakeProvider
from tests.in_process_app import Clock
from tests.store_servers import wait_until

ADDRESS = "192.0.2.1"
SETTINGS = OpenIdSettings(
    issuer="https://login.example.news",
    client_id=CLIENT,
    client_secret=SECRET,
    roles=(("everybody", "viewer"), ("desk", "granter"), ("chiefs", "owner")),
    public_url="https://paywall.example.news",
)


@pytest.fixture
def clock() -> Clock:
    """Return the monotonic clock that caching uses."""
    return Clock()


@pytest.fixture
def provider(fake_provider: FakeProvider, clock: Clock) -> OpenIdProvider:
    return OpenIdProvider(replace(SETTINGS, issuer=fake_provider.issuer), clock)


@pytest.fixture
def sign_in(fake_provider: FakeProvider, provider: OpenIdProvider) -> SignIn:
    return SignIn(replace(SETTINGS, issuer=fake_provider.issuer), time.time, provider)


def one_comes(sign_in: SignIn, fake_provider: FakeProvider) -> str:
    address, attempt = sign_in.begin(None)
    return sign_in.finish(attempt, fake_provider.grants(address), None, None, ADDRESS).name


def changes_its_key(fake_provider: FakeProvider, kid: str) -> None:
    fake_provider.key = RSAKey.generate_key(2048, {"kid": kid})
    fake_provider.keys = [fake_provider.key]


def test_provider_metadata_and_keys_are_cached_for_an_hour(
    sign_in: SignIn, fake_provider: FakeProvider, clock: Clock
) -> None:
    one_comes(sign_in, fake_provider)
    clock.now += CACHE_SECONDS - 1
    one_comes(sign_in, fake_provider)
    assert (
        fake_provider.asked.count("/keys"),
        len([path for path in fake_provider.asked if "well-known" in path]),
    ) == (1, 1)
    clock.now += 2
    one_comes(sign_in, fake_provider)
    assert (
        fake_provider.asked.count("/keys"),
        len([path for path in fake_provider.asked if "well-known" in path]),
    ) == (2, 2)


def test_new_signing_key_is_read_at_once_then_once_a_minute(
    sign_in: SignIn, fake_provider: FakeProvider, clock: Clock
) -> None:
    one_comes(sign_in, fake_provider)
    changes_its_key(fake_provider, "second")
    assert one_comes(sign_in, fake_provider) == "ann@example.news"
    assert fake_provider.asked.count("/keys") == 2
    changes_its_key(fake_provider, "third")
    for _ in range(3):
        with pytest.raises(SignInFailed, match="id_token_invalid_key_id"):
            one_comes(sign_in, fake_provider)
    assert fake_provider.asked.count("/keys") == 2
    clock.now += KEY_REFRESH_INTERVAL
    assert one_comes(sign_in, fake_provider) == "ann@example.news"


def test_unreachable_provider_is_not_retried_for_some_seconds(
    provider: OpenIdProvider, fake_provider: FakeProvider, clock: Clock
) -> None:
    fake_provider.close()
    for why in ("ConnectionError", "resting"):
        with pytest.raises(SignInFailed, match=f"away: {why}"):
            provider.metadata()
    clock.now += PAUSE_SECONDS
    with pytest.raises(SignInFailed, match="away: ConnectionError"):
        provider.metadata()


def test_sign_in_waits_for_its_turn_behind_eight_strangers_at_its_address(fake_provider: FakeProvider) -> None:
    settings = replace(SETTINGS, issuer=fake_provider.issuer)
    sign_in, over = SignIn(settings, time.time, OpenIdProvider(settings, patience=60)), threading.Event()
    fake_provider.delay = 0.1

    def stranger() -> None:
        while not over.is_set():
            with suppress(SignInFailed):
                sign_in.finish(sign_in.begin(None)[1], "bogus", None, None, ADDRESS)

    with ThreadPoolExecutor(8) as pool:
        strangers = [pool.submit(stranger) for _ in range(8)]
        try:
            wait_until(lambda: fake_provider.asked.count("/token") > 8)
            assert [one_comes(sign_in, fake_provider) for _ in range(4)] == ["ann@example.news"] * 4
        finally:
            over.set()
    assert not any(each.exception() for each in strangers)


@pytest.mark.parametrize(
    ("of_one_address", "most"), [(False, MAX_THREADS), (True, MAX_THREADS_OF_AN_ADDRESS)], ids=["all", "one address"]
)
def test_queue_is_bounded(fake_provider: FakeProvider, of_one_address: bool, most: int) -> None:
    provider, over = OpenIdProvider(replace(SETTINGS, issuer=fake_provider.issuer), patience=60), threading.Event()

    def hold(number: int) -> None:
        with provider.request_slot("192.0.2.66" if of_one_address else f"192.0.2.{number}"):
            over.wait(60)

    with ThreadPoolExecutor(most + 3) as pool:
        calls = [pool.submit(hold, number) for number in range(most + 3)]
        wait_until(lambda: sum(call.done() for call in calls) == 3)
        assert {str(call.exception()) for call in calls if call.done()} == {"away: busy"}
        over.set()
    assert sum(call.exception() is None for call in calls) == most
    assert provider.metadata().token_endpoint == f"{fake_provider.issuer}/token"


def test_groups_scope_is_requested_when_the_provider_has_it(sign_in: SignIn, fake_provider: FakeProvider) -> None:
    fake_provider.described["scopes_supported"] = ["openid", "groups", "phone"]
    assert "scope=openid+email+groups+profile" in sign_in.begin(None)[0]


def test_configured_scopes_are_requested_and_no_others(fake_provider: FakeProvider, provider: OpenIdProvider) -> None:
    settings = replace(SETTINGS, issuer=fake_provider.issuer, scopes=("email", "roles"))
    assert "scope=openid+email+roles&" in SignIn(settings, time.time, provider).begin(None)[0]


def test_client_secret_post_is_used_when_it_is_the_only_method(sign_in: SignIn, fake_provider: FakeProvider) -> None:
    fake_provider.described["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert one_comes(sign_in, fake_provider) == "ann@example.news"


def test_sign_in_attempt_lasts_ten_minutes_and_matches_its_state() -> None:
    attempt = SignInAttempt("state", "nonce", "verifier", None, 1_000)
    assert attempt.matches("state", 1_000 + ATTEMPT_SECONDS - 1)
    assert not attempt.matches("state", 1_000 + ATTEMPT_SECONDS)
    assert not attempt.matches("other", 1_000)
    assert not attempt.matches("", 1_000)


def test_highest_role_of_the_groups_counts() -> None:
    assert SETTINGS.highest_role(["everybody", "chiefs", "desk"]) == "owner"
    assert SETTINGS.highest_role(["desk", "everybody"]) == "granter"
    assert SETTINGS.highest_role(["Desk", ""]) is None


def test_fingerprint_ignores_only_the_client_secret() -> None:
    assert replace(SETTINGS, client_secret="another").fingerprint == SETTINGS.fingerprint
    assert replace(SETTINGS, roles=SETTINGS.roles[:2]).fingerprint != SETTINGS.fingerprint
    assert replace(SETTINGS, name_claim="sub").fingerprint != SETTINGS.fingerprint
    assert SECRET not in repr(SETTINGS)
