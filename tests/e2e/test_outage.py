"""Test checks of a running service while its store is unavailable: fast, of 200 only, and with what was known."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from tests.running_service import Paywall, Serve

Until = Callable[..., float]
ALL = ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]


def _load(paywall: Paywall, stop: threading.Event, found: list[tuple[float, float, int, bool]], who: int) -> None:
    with requests.Session() as session:
        session.trust_env = False
        number = 0
        while not stop.is_set():
            number += 1
            asks: dict[str, Any] = {"reader": f"r{who}"} if number % 2 else {"visitor": f"v{who}"}
            body = {"story": {"id": f"s{number}"}, **asks}
            begun = time.monotonic()
            answer = session.post(f"{paywall.url}/v1/access", json=body, headers=paywall.as_site, timeout=60)
            ended = time.monotonic()
            ok = answer.status_code == 200 and answer.json()["degraded"]
            found.append((begun, ended - begun, answer.status_code, ok))


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


@pytest.mark.load
@pytest.mark.parametrize("how", ["killed", "hung"])
@pytest.mark.full
def test_outage_under_load_gives_only_fast_200_answers(serve: Serve, launch: Any, until: Until, how: str) -> None:
    store = launch("valkey", tcp=True)
    paywall = serve(REDIS_URL=store.url)
    found: list[tuple[float, float, int, bool]] = []
    stop = threading.Event()
    clients = [threading.Thread(target=_load, args=(paywall, stop, found, who)) for who in range(4)]
    for client in clients:
        client.start()
    try:
        until(lambda: len(found) > 200)
        struck = time.monotonic()
        store.end() if how == "killed" else store.freeze()
        until(lambda: sum(begun > struck + 0.6 for begun, *_ in list(found)) > 1_000)
        back = time.monotonic()
        store.start() if how == "killed" else store.thaw()
        until(lambda: any(begun > back and not away for begun, _, _, away in list(found)))
        assert time.monotonic() - back < 2, "normal within a second of the store's coming back"
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert {status for _, _, status, _ in found} == {200}
    without = [(took, away) for begun, took, _, away in found if struck + 0.6 < begun and begun + took < back]
    assert all(away for _, away in without)
    before = [took for begun, took, _, _ in found if begun < struck]
    # 50 ms, or the time with an available store where a busy machine makes that longer.
    assert _p99([took for took, _ in without]) < max(0.1, 2 * _p99(before))


@pytest.mark.full
def test_known_entitlements_survive_a_restart_during_an_outage(serve: Serve, launch: Any, until: Until) -> None:
    store = launch("valkey", tcp=True)
    paywall = serve(REDIS_URL=store.url)
    paywall.grant("entitled")
    revoked = paywall.grant("revoked")["id"]
    for reader in ("entitled", "revoked"):
        paywall.ask("a", reader=reader)
    paywall.revoke("revoked", revoked)
    assert paywall.end(signal.SIGTERM) == 0
    store.end()
    paywall.start(wait="/healthz")
    assert requests.get(paywall.url + "/readyz", timeout=60).status_code == 503
    for _ in range(10):  # whichever worker answers
        answer = paywall.ask_once("b", reader="entitled")
        assert (answer["degraded"], answer["show"], answer["features"]) == (True, "full", ALL)
        assert paywall.ask_once("b", reader="revoked")["features"] == []
        assert paywall.ask_once("b", visitor="v")["show"] == "upsell"
    store.start()
    until(lambda: paywall.answers("/readyz"))
    paywall.ask("b", visitor="v", count=False)
