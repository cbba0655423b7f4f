"""Test a store that is down, hangs or rejects writes: fast errors, one timeout, and recovery."""

from __future__ import annotations

import select
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.breaker import CircuitBreaker
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.scripts import Script
from service.adapters.redis.client.topology import Topology
from service.domain.errors import StoreUnavailable

COUNT = Script("count", b"return redis.call('INCR', KEYS[1])")
GET = [(b"k", (b"GET", b"k"))]
KINDS = pytest.mark.parametrize("kind", ["valkey", "redis8"])


def refusal(ask: Callable[[], Any]) -> tuple[str, float]:
    """Return the reason why a call failed, and its duration in seconds."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        ask()
    return refused.value.why, time.monotonic() - begun


@KINDS
@pytest.mark.parametrize("tcp", [False, True])
def test_killed_store_is_noticed_at_once_and_its_return_within_a_second(
    launch: Any, connect: Any, until: Any, kind: str, tcp: bool
) -> None:
    changes: list[tuple[bool, str, str]] = []
    server = launch(kind, tcp=tcp)
    link = connect(server.url, on_change=lambda *change: changes.append(change))
    assert link.wait(60)
    link.read(GET)
    server.end()
    why, seconds = refusal(lambda: link.read(GET))
    assert why == "refused"
    assert seconds < 5, "half of a time-out"
    why, seconds = refusal(lambda: link.run(COUNT, [b"k"], []))
    assert why == "open"
    assert seconds < 5
    assert not link.available
    assert not link.ready()
    server.start()
    until(lambda: link.available)
    assert link.ready()
    assert link.run(COUNT, [b"k"], []) == 1
    assert [change[:2] for change in changes] == [(True, ""), (False, "refused"), (True, "")]


@KINDS
def test_hanging_store_costs_one_timeout_and_its_return_a_second(
    launch: Any, connect: Any, until: Any, kind: str
) -> None:
    server = launch(kind)
    link = connect(server.url, timeout=1.0)
    assert link.wait(60)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: link.read(GET), range(64)))
        server.freeze()
        first = list(pool.map(lambda _: refusal(lambda: link.read(GET)), range(8)))
        assert all(seconds < 2 for _, seconds in first), "one wait, not two"
        assert {why for why, _ in first} <= {"timeout", "open"}
        begun = time.monotonic()
        assert {why for why, _ in pool.map(lambda _: refusal(lambda: link.read(GET)), range(2_000))} == {"open"}
        assert time.monotonic() - begun < 60, "nobody waits again: 2,000 waits would take 250 s"
    server.thaw()
    until(lambda: link.available)
    assert link.read(GET) == [None]


@KINDS
def test_kill_under_load_raises_only_store_unavailable(launch: Any, connect: Any, until: Any, kind: str) -> None:
    server = launch(kind)
    link = connect(server.url)
    assert link.wait(60)
    stop, waits = threading.Event(), list[float]()

    def work(_: int) -> int:
        answered = 0
        while not stop.is_set():
            begun = time.monotonic()
            try:
                link.read(GET)
                link.run(COUNT, [b"n"], [])
                answered += 1
            except StoreUnavailable:
                stop.wait(0.001)
            waits.append(time.monotonic() - begun)
        return answered

    with ThreadPoolExecutor(8) as pool:
        workers = pool.map(work, range(8))
        until(lambda: len(waits) > 500)
        server.end()
        until(lambda: not link.available)
        server.start()
        until(lambda: link.available)
        seen = len(waits)
        until(lambda: len(waits) > seen + 500)
        stop.set()
        assert sum(workers) > 500
    assert max(waits) < 10, "nobody waits for a time-out"


def test_store_missing_at_start_is_found_when_it_comes(launch: Any, connect: Any, until: Any) -> None:
    server = launch(tcp=True, start=False)
    link = connect(server.url)
    why, seconds = refusal(lambda: link.read(GET))
    assert (why, link.why) == ("open", "refused")
    assert seconds < 5, "half of a time-out"
    server.start()
    until(lambda: link.available)
    assert link.read(GET) == [None]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port that drops connections: its queue is full, so the kernel no longer answers."""
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for sock in (one, two):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/m", "redis+cluster://127.0.0.1:{}"]
)
def test_host_that_drops_packets_costs_one_timeout(connect: Any, silent_port: int, url: str) -> None:
    link = connect(url.format(silent_port), timeout=1.0)
    why, seconds = refusal(lambda: link.read(GET))
    assert why == "open"
    assert seconds < 2, "one wait, not two"
    assert max(refusal(lambda: link.read(GET))[1] for _ in range(100)) < 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://no-such-host.invalid", "dns"),
        ("redis://127.0.0.1:1", "refused"),
        ("unix:///no/such/socket", "refused"),
        ("redis+sentinel://127.0.0.1:1/main", "refused"),
        ("redis+cluster://127.0.0.1:1,127.0.0.1:2", "refused"),
    ],
)
def test_wrong_address_is_an_outage_with_its_reason(connect: Any, until: Any, url: str, why: str) -> None:
    link = connect(url)
    link.start()
    until(lambda: not link.available and link.why == why)
    assert refusal(lambda: link.read(GET))[0] == "open"
    assert not link.ready()


def become_replica(admin: Any) -> None:
    admin.execute_command("REPLICAOF", "127.0.0.1", "1")


def become_master(admin: Any) -> None:
    admin.execute_command("REPLICAOF", "NO", "ONE")


def sets(name: str, value: str) -> Callable[[Any], object]:
    return lambda admin: admin.config_set(name, value)


def lose_reads(admin: Any) -> None:
    admin.config_set("replica-serve-stale-data", "no")
    become_replica(admin)


STATES = {
    "readonly": (become_replica, become_master),
    "masterdown": (lose_reads, become_master),
    "noreplicas": (sets("min-replicas-to-write", "1"), sets("min-replicas-to-write", "0")),
}


@KINDS
@pytest.mark.parametrize("why", STATES)
def test_store_that_rejects_writes_is_unavailable_until_it_accepts(
    launch: Any, connect: Any, until: Any, kind: str, why: str
) -> None:
    server = launch(kind)
    link = connect(server.url)
    assert link.wait(60)
    spoil, repair = STATES[why]
    spoil(server.admin())
    assert refusal(lambda: link.run(COUNT, [b"n"], []))[0] in (why, "open"), "open if the link has looked just now"
    assert refusal(lambda: link.run(COUNT, [b"n"], []))[0] == "open"
    assert not link.ready()
    repair(server.admin())
    until(lambda: link.available)
    assert link.run(COUNT, [b"n"], []) == 1


@pytest.mark.parametrize("why", STATES)
def test_rejected_writes_are_noticed_by_probes_while_only_reading(
    launch: Any, connect: Any, until: Any, why: str
) -> None:
    server = launch()
    link = connect(server.url)
    assert link.wait(60)
    spoil, repair = STATES[why]
    spoil(server.admin())
    until(lambda: not link.available)
    assert link.why in (why, "readonly")
    repair(server.admin())
    until(lambda: link.available)
    assert server.admin().keys("*none*") == []


def test_missing_permission_in_a_script_fails_only_that_script(launch: Any, connect: Any) -> None:
    server = launch()
    link = connect(server.url)
    assert link.wait(60)
    server.admin().execute_command("ACL", "SETUSER", "default", "-incr")
    assert refusal(lambda: link.run(COUNT, [b"n"], []))[0] == "noperm"
    assert link.available


@KINDS
@pytest.mark.parametrize("why", STATES)
def test_readiness_tries_to_write(launch: Any, connect: Any, kind: str, why: str) -> None:
    server = launch(kind)
    link = connect(server.url)
    assert link.wait(60)
    STATES[why][0](server.admin())
    assert not link.ready()
    assert link.why in (why, "readonly"), "a replica without its master says either, by what it is asked"


def test_full_disk_is_an_outage(launch: Any, connect: Any, until: Any) -> None:
    server = launch(tcp=True, save="3600 1")
    link = connect(server.url)
    assert link.wait(60)
    shutil.rmtree(server.folder)
    server.admin().bgsave()
    until(lambda: server.admin().info("persistence")["rdb_last_bgsave_status"] != "ok")
    assert refusal(lambda: link.run(COUNT, [b"n"], []))[0] in ("misconf", "open")
    assert link.why == "misconf"


@KINDS
def test_loading_store_is_unavailable_until_loaded(launch: Any, connect: Any, until: Any, kind: str) -> None:
    server = launch(kind)
    server.admin().mset({f"k{n}": "v" for n in range(1_000)})
    server.admin().save()
    server.end()
    server.command += ["--key-load-delay", "700", "--loading-process-events-interval-bytes", "1024"]
    link = connect(server.url)
    server.start(wait=False)
    link.start()
    until(lambda: link.why == "loading")
    assert refusal(lambda: link.read(GET))[0] == "open"
    until(lambda: link.available)
    assert link.call(b"k1", "GET", "k1") == b"v"


def test_wrong_password_is_an_outage_without_the_password_in_errors(launch: Any, connect: Any, until: Any) -> None:
    server = launch(tcp=True, requirepass="right")
    for url in (server.url, server.url.replace("://", "://:hunter2@")):
        link = connect(url)
        link.start()
        until(lambda link=link: link.why == "auth")
        with pytest.raises(StoreUnavailable) as refused:
            link.read(GET)
        assert "hunter2" not in repr(refused.value)


def test_changed_password_is_an_outage(launch: Any, connect: Any, until: Any) -> None:
    server = launch(tcp=True)
    link = connect(server.url)
    assert link.wait(60)
    server.admin().config_set("requirepass", "new")
    server.admin().client_kill_filter(_type="normal", skipme=True)
    assert refusal(lambda: link.read(GET))[0] == "auth"
    until(lambda: link.why == "auth")


def test_store_at_its_client_limit_is_an_outage(launch: Any, connect: Any, until: Any) -> None:
    server = launch(maxclients="1")
    link = connect(server.url)
    link.start()
    until(lambda: link.why == "clients")
    server.admin().close()
    until(lambda: link.available)


def test_cluster_mode_mismatch_is_an_outage(launch: Any, connect: Any, until: Any) -> None:
    single, lonely = launch(tcp=True), launch(tcp=True, cluster_enabled="yes")
    plain = connect(lonely.url)
    plain.start()
    until(lambda: plain.why == "clusterdown")
    cluster = connect(lonely.url.replace("redis:", "redis+cluster:"))
    cluster.start()
    until(lambda: cluster.why == "clusterdown")
    none = connect(single.url.replace("redis:", "redis+cluster:"))
    none.start()
    until(lambda: none.why == "no_cluster")


def test_server_that_is_no_store_is_an_outage(connect: Any, until: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(100)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=speak, daemon=True).start()
        link = connect(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        link.start()
        until(lambda: link.why == "protocol")
        listener.shutdown(socket.SHUT_RDWR)


class Forgetful:
    """A proxy that forwards the next command to the store and then disconnects without the reply."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.forget = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as store:
            store.connect(self._path)
            while True:
                for one in select.select([client, store], [], [])[0]:
                    passed = one.recv(65536)
                    if not passed:
                        return
                    if one is store and self.forget:
                        self.forget = False
                        return
                    (store if one is client else client).sendall(passed)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def forgetful(launch: Any) -> Iterator[Forgetful]:
    between = Forgetful(launch().url.removeprefix("unix://"))
    yield between
    between.close()


def test_script_that_may_have_run_is_never_sent_twice(forgetful: Forgetful, connect: Any, until: Any) -> None:
    link = connect(forgetful.url)
    assert link.wait(60)
    assert link.run(COUNT, [b"n"], []) == 1
    forgetful.forget = True
    assert refusal(lambda: link.run(COUNT, [b"n"], []))[0] == "lost"
    until(lambda: link.available)
    assert link.read([(b"n", (b"GET", b"n"))]) == [b"2"]


def test_read_on_a_broken_idle_connection_is_retried_once(forgetful: Forgetful, connect: Any) -> None:
    link = connect(forgetful.url)
    assert link.wait(60)
    link.call(b"n", "SET", "n", "5")
    forgetful.forget = True
    assert link.read([(b"n", (b"GET", b"n"))]) == [b"5"]
    assert link.available


def test_failing_change_listener_does_not_stop_the_probes(launch: Any, connect: Any, until: Any) -> None:
    server = launch()
    link = connect(server.url, on_change=lambda *change: [][0])
    assert link.wait(60)
    server.end()
    until(lambda: not _answers(link))
    server.start()
    until(lambda: link.available)


def _answers(link: Link) -> bool:
    try:
        link.read(GET)
    except StoreUnavailable:
        return False
    return True


def test_late_failure_of_an_ended_outage_starts_no_new_one() -> None:
    """A thread that waited on a hanging connection reports its failure after the store has recovered."""
    views = [Topology(()), Topology(())]
    breaker = CircuitBreaker(lambda: views.pop(), timeout=1, probe_every=0.01)
    first = breaker.require_topology()
    breaker.trip(first, StoreUnavailable("timeout"))
    assert breaker.wait_until_available(60)
    second = breaker.topology
    breaker.trip(first, StoreUnavailable("timeout"))
    assert breaker.topology is second is not first
    breaker.close()


def test_unexpected_probe_error_is_followed_by_another_probe() -> None:
    results: list[Any] = [ValueError("bug"), StoreUnavailable("refused"), Topology(())]

    def probe() -> Topology:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]  # the list holds topologies and errors

    breaker = CircuitBreaker(probe, timeout=1, probe_every=0.01)
    assert breaker.wait_until_available(60)
    breaker.close()


def test_open_breaker_sends_only_probes(connect: Any) -> None:
    """Only the prober connects, one attempt at a time, about every 100 ms."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        knocks = list[float]()

        def count() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return
                knocks.append(time.monotonic())

        threading.Thread(target=count, daemon=True).start()
        link = connect(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        begun = time.monotonic()
        while len(knocks) < 5:
            refusal(lambda: link.read(GET))
        assert time.monotonic() - begun > 0.3
        listener.shutdown(socket.SHUT_RDWR)


def test_unused_link_reports_no_change(launch: Any) -> None:
    link = Link(parse_address("redis://127.0.0.1:1"), on_change=lambda *_: pytest.fail("nobody asked"))
    link.close()
