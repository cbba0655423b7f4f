"""Test `paywall serve` as a process: start, stop, refusals, kills and its log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.running_service import descendants, is_running
from tests.store_servers import free_port

if TYPE_CHECKING:
    from tests.running_service import Paywall, Serve

Until = Callable[..., float]
COMMAND = [sys.executable, "-m", "service.entrypoints.cli", "serve"]


def slow_request(port: int, key: str) -> socket.socket:
    """Open a request whose body still lacks one byte."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    body = b'{"story": {"id": "a"}, "visitor": "slow"}'
    head = f"POST /v1/access HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/json\r\n"
    sock.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
    return sock


@pytest.mark.parametrize("group", [False, pytest.param(True, marks=pytest.mark.full)], ids=["main process", "group"])
def test_sigterm_ends_all_processes_within_ten_seconds_and_answers_requests(
    serve: Serve, until: Until, group: bool
) -> None:
    paywall = serve()
    assert paywall.process is not None
    idle = socket.create_connection(("127.0.0.1", paywall.port), timeout=60)
    idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
    paywall.ask("a", reader="kept-alive")
    begun = slow_request(paywall.port, paywall.as_site["Authorization"])
    started = descendants(paywall.process.pid)
    assert len(started) >= 4, "the web, its workers, the store"
    paywall.ask("warm", visitor="w", count=False)
    at = time.monotonic()
    (os.killpg if group else os.kill)(paywall.process.pid, signal.SIGTERM)
    begun.sendall(b"}")
    assert begun.recv(65_536).startswith(b"HTTP/1.1 200")
    assert paywall.process.wait(60) == 0
    assert time.monotonic() - at < 20, "ten seconds, and as many for a busy machine"
    until(lambda: not any(map(is_running, started)))
    for sock in (idle, begun):
        sock.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", paywall.port))


@pytest.mark.full
def test_sigint_to_the_group_ends_cleanly_and_keeps_data(serve: Serve) -> None:
    paywall = serve()
    paywall.grant("r")
    assert paywall.end(signal.SIGINT, group=True) == 0
    assert "Traceback" not in paywall.log
    paywall.start()
    assert paywall.ask("a", reader="r")["reason"] == "grant"


@pytest.mark.load
@pytest.mark.full
def test_no_request_is_lost_while_the_service_stops(serve: Serve) -> None:
    """Requests before the signal are answered. Later ones are answered completely or not accepted; none gets a 5xx."""
    paywall = serve()
    asked: list[tuple[float, int | None]] = []
    ready = threading.Barrier(5)

    def client() -> None:
        ready.wait(60)
        while True:
            begun = time.monotonic()
            try:
                asked.append((begun, _ask_anew(paywall, "r").status_code))
            except requests.ConnectionError:
                asked.append((begun, None))
                return

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    ready.wait(60)
    for _ in range(40):
        assert _ask_anew(paywall, "s").status_code == 200
    struck = time.monotonic()
    assert paywall.end() == 0
    for each in clients:
        each.join(60)
    assert {status for begun, status in asked if begun < struck} == {200}
    assert {status for _, status in asked} <= {200, None}


@pytest.mark.full
def test_second_serve_on_the_same_folder_is_rejected_with_its_name(serve: Serve) -> None:
    paywall = serve()
    env = {**paywall.env, "PAYWALL_PORT": str(free_port())}
    with_store = {**env, "REDIS_URL": "redis://127.0.0.1:1"}
    for settings in (env, with_store, paywall.env):
        second = subprocess.run(
            [*COMMAND, "--no-worker"], env=settings, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode in (1, 2)
        assert str(paywall.data) in second.stderr
        assert "Traceback" not in second.stderr
    assert paywall.ask("a", visitor="v")["degraded"] is False


def test_port_in_use_is_rejected_with_its_variable(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        paywall = serve(start=False, PAYWALL_PORT=str(taken.getsockname()[1]))
        refused = paywall.run("serve", "--no-worker")
    assert refused.returncode in (1, 2)
    assert "PAYWALL_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.full
@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::1"])
def test_service_listens_on_a_name_or_an_address(serve: Serve, until: Until, host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    paywall = serve(start=False, PAYWALL_HOST=host).start(wait="")
    at = "[::1]" if host == "::1" else "127.0.0.1"

    def answers() -> bool:
        try:
            return requests.get(f"http://{at}:{paywall.port}/healthz", timeout=60).ok
        except requests.ConnectionError:
            return False

    until(answers)
    elsewhere = {**paywall.env, "PAYWALL_DATA": str(paywall.folder / "other")}
    second = subprocess.run(COMMAND, env=elsewhere, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "PAYWALL_PORT" in second.stderr
    assert paywall.end() == 0


@pytest.mark.full
def test_restart_after_sigkill_finds_all_data(serve: Serve, until: Until) -> None:
    paywall = serve()
    assert paywall.process is not None
    paywall.grant("r")
    paywall.ask("a", visitor="v")
    started = descendants(paywall.process.pid)
    paywall.process.kill()
    paywall.process.wait()
    paywall.start(wait="")  # at once, as a supervisor would: no leftover process may hold the port
    until(lambda: not any(map(is_running, started)))
    until(lambda: paywall.answers("/readyz"))
    assert paywall.ask("b", reader="r")["reason"] == "grant"
    assert paywall.ask("b", visitor="v")["meter"]["used"] == 2


@pytest.mark.full
def test_dead_embedded_store_is_restarted_without_loss(serve: Serve, until: Until) -> None:
    paywall = serve()
    paywall.grant("r")
    (store,) = paywall.processes()["store"]
    os.kill(store, signal.SIGKILL)

    def normal() -> bool:
        return str(paywall.ask("a", reader="r", count=False)["reason"]) == "grant"

    until(normal)
    assert paywall.reader("r")["access"]
    lines = [json.loads(line) for line in paywall.log.splitlines()]  # JSON, each of them
    (died,) = [line for line in lines if line["event"] == "embedded_store_died"]
    assert (died["level"], died["status"]) == ("warning", -signal.SIGKILL)


@pytest.mark.full
def test_change_is_visible_on_every_worker(serve: Serve, until: Until) -> None:
    paywall = serve(PAYWALL_WORKERS="3")

    def everywhere(reason: str) -> bool:
        # A connection stays with one worker; new ones reach them all.
        answers = [_ask_anew(paywall, "r") for _ in range(12)]
        return all(answer.json()["reason"] == reason for answer in answers)

    until(lambda: everywhere("metered"))
    grant = paywall.grant("r")["id"]
    until(lambda: everywhere("grant"))
    paywall.revoke("r", grant)
    until(lambda: everywhere("metered"))


def _ask_anew(paywall: Paywall, reader: str) -> requests.Response:
    """Check access on a new connection."""
    body = {"story": {"id": "a"}, "reader": reader, "count": False}
    return requests.post(f"{paywall.url}/v1/access", json=body, headers=paywall.as_site, timeout=60)


@pytest.mark.full
def test_metrics_add_up_over_the_workers(serve: Serve, until: Until) -> None:
    paywall = serve()

    def counted() -> float:
        shown = requests.get(paywall.url + "/metrics", timeout=60).text
        wanted = 'paywall_requests_total{method="POST",route="/v1/access",status="200"}'
        return sum(float(line.split()[-1]) for line in shown.splitlines() if line.startswith(wanted))

    for _ in range(40):
        _ask_anew(paywall, "r")
    until(lambda: counted() == 40)
    shown = requests.get(paywall.url + "/metrics", timeout=60)
    assert shown.headers["Content-Type"].startswith("text/plain; version=")
    assert 'paywall_decisions_total{reason="metered",show="full"} 40.0' in shown.text
    assert "paywall_store_up 1.0" in shown.text


@pytest.mark.full
def test_counters_of_a_killed_worker_stay_and_its_gauges_go(serve: Serve, launch: Any, until: Until) -> None:
    store = launch("valkey", tcp=True)
    paywall = serve(REDIS_URL=store.url)

    def shown(line: str) -> bool:
        return line in requests.get(paywall.url + "/metrics", timeout=60).text.splitlines()

    store.end()
    for _ in range(20):
        assert _ask_anew(paywall, "r").status_code == 200
    counted = 'paywall_requests_total{method="POST",route="/v1/access",status="200"} 20.0'
    until(lambda: shown("paywall_store_up 0.0"))
    until(lambda: shown(counted))  # A process counts its requests a tenth of a second later.
    os.kill(paywall.processes()["web process"][-1], signal.SIGKILL)
    store.start()
    until(lambda: shown("paywall_store_up 1.0"))
    assert shown(counted)


SECRETS = [
    "reader-7f3a9",
    "visitor-8e21c",
    "story-9d00b",
    "203.0.113.77",
    "Agent-Smith",
    "press card 4711",
    "wrong-key-55",
]


@pytest.mark.full
def test_log_never_contains_reader_ids_keys_or_request_data(serve: Serve, launch: Any) -> None:
    store = launch("valkey", tcp=True)
    paywall = serve(REDIS_URL=store.url, PAYWALL_SECRETS="sealing-secret-0123456789abcdef01")
    reader, visitor, story, ip, agent, reason, wrong = SECRETS
    context = {"ip": ip, "user_agent": agent, "referrer": story}
    body = {"story": {"id": story, "parts": [story]}, "reader": reader, "visitor": visitor, "context": context}

    def everything() -> None:
        for sent in (body, {**body, "explain": True}, {**body, reader: 1}, {**body, "reader": f"{reader}/"}, [reader]):
            paywall.post("/v1/access", sent)
        paywall.post("/v1/access/batch", {"reader": reader, "visitor": visitor, "stories": [body["story"], {"id": ""}]})
        requests.post(f"{paywall.url}/v1/access", data=f"{{{reader}", headers=paywall.as_site, timeout=60)
        requests.get(
            f"{paywall.url}/{reader}?{visitor}={story}", headers={"User-Agent": agent, "Referer": story}, timeout=10
        )
        requests.get(f"{paywall.url}/v1/readers/{reader}", headers={"Authorization": f"Bearer {wrong}"}, timeout=60)
        for key in (f"/v1/readers/{reader}", f"/v1/readers/{reader}%2F", f"/v1/readers/{reader}?at={visitor}"):
            paywall.get(key)
        grant = {"plan": "vip", "reason": reason, "until": None}
        given = paywall.post(f"/v1/readers/{reader}/grants", grant, paywall.admin, headers={"Idempotency-Key": story})
        paywall.post(f"/v1/readers/{reader}/grants", {**grant, "plan": reader}, paywall.admin)
        path = f"/v1/readers/{reader}/grants/{given.json().get('id', 'none')}"
        paywall.call("PATCH", path, {"until": reader, "reason": reason}, paywall.admin)
        paywall.call("DELETE", f"{path}?reason={reason}", None, paywall.admin)

    everything()
    store.end()
    everything()
    assert paywall.end() == 0
    lines = paywall.log.splitlines()
    for secret in [*SECRETS, paywall.admin, paywall.site, "sealing-secret"]:
        assert [line for line in lines if secret in line] == []
    parsed = [json.loads(line) for line in lines]
    asked = [line for line in parsed if line["event"] == "request"]
    assert len(asked) >= 30
    assert all({"request_id", "method", "route", "status", "ms"} <= set(line) for line in asked)
    assert not [line for line in asked if line["status"] == 500]
    assert not [line for line in parsed if line["level"] == "error"]


@pytest.mark.full
@pytest.mark.parametrize("sent_to", ["a closed pipe", "/dev/full", "&-"])
def test_log_output_that_cannot_be_written_blocks_no_request(serve: Serve, until: Until, sent_to: str) -> None:
    paywall = serve(start=False)
    words = [
        "sh",
        "-c",
        'exec "$@"' + ("" if sent_to == "a closed pipe" else f" >{sent_to}"),
        "sh",
        *COMMAND,
    ]
    reading, writing = os.pipe()
    with (paywall.folder / "log").open("wb") as log:
        paywall.process = subprocess.Popen(words, env=paywall.env, stdout=writing, stderr=log, start_new_session=True)
    os.close(reading)
    os.close(writing)
    until(lambda: paywall.answers("/readyz"))
    paywall.grant("r")
    assert paywall.ask("a", reader="r")["reason"] == "grant"
    assert paywall.end() == 0
    assert paywall.log == ""


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
