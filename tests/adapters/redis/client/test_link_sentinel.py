"""Test the link with Sentinel: it follows the named master, and a new one within 15 s after a failover."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis.client.scripts import Script, ScriptCall
from service.domain.errors import StoreUnavailable

pytestmark = pytest.mark.full

COUNT = Script("count", b"return redis.call('INCR', KEYS[1])")
KINDS = pytest.mark.parametrize("kind", ["valkey", "redis8"])


@dataclass
class Watched:
    """A master and its replicas, watched by three sentinels as service `main`."""

    data: list[Any]
    sentinels: list[Any]
    login: str = ""

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{self.login}{hosts}/main"

    def master(self) -> Any:
        """Return the server that the first sentinel names."""
        named = self.sentinels[-1].admin().sentinel_get_master_addr_by_name("main")
        return next(server for server in self.data if named and server.port == int(named[1]))


Watch = Callable[..., Watched]


@pytest.fixture
def watch(launch: Any, short_folder: Path, until: Any) -> Watch:
    def watched(kind: str, *, replicas: int = 1, password: str = "", down_after: int = 500) -> Watched:
        secret = {"requirepass": password, "masterauth": password} if password else {}
        master = launch(kind, tcp=True, **secret)
        of = {"replicaof": f"127.0.0.1 {master.port}", "repl_diskless_sync_delay": "0"}
        data = [master, *(launch(kind, tcp=True, **of, **secret) for _ in range(replicas))]
        until(lambda: master.admin().info("replication")["connected_slaves"] == replicas)
        sentinels = []
        for _ in range(3):
            sentinel = launch(kind, tcp=True, start=False)
            file = Path(tempfile.mkdtemp(dir=short_folder)) / "sentinel.conf"
            lines = [
                f"port {sentinel.port}",
                "bind 127.0.0.1",
                f"dir {file.parent}",
                f"sentinel monitor main 127.0.0.1 {master.port} 2",
                f"sentinel down-after-milliseconds main {down_after}",
                "sentinel failover-timeout main 2000",
                *([f"sentinel auth-pass main {password}"] if password else []),
            ]
            file.write_text("\n".join(lines) + "\n")
            sentinel.command = [sentinel.command[0], str(file), "--sentinel"]
            sentinels.append(sentinel.start())
        found = Watched([master, *data[1:]], sentinels, f":{password}@" if password else "")
        for sentinel in sentinels:
            until(lambda sentinel=sentinel: _knows(sentinel, replicas))
        return found

    return watched


def _knows(sentinel: Any, replicas: int) -> bool:
    state = sentinel.admin().sentinel_master("main")
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == replicas)


def counted(link: Any) -> int:
    """Count once and return the count; 0 while the store is unavailable."""
    try:
        return int(link.run(COUNT, [b"n"], []))
    except StoreUnavailable:
        return 0


@KINDS
def test_master_is_the_one_the_sentinels_name(watch: Watch, connect: Any, kind: str) -> None:
    watched = watch(kind, password="s3cret")
    link = connect(f"{watched.url}/2")
    assert link.wait(60)
    assert link.run(COUNT, [b"n"], []) == 1
    assert link.read([(b"n", (b"GET", b"n"))]) == [b"1"]
    assert watched.data[0].admin().info("keyspace")["db2"]["keys"] == 2
    assert link.info()["replicas"] == 1
    assert link.ready()


def test_event_loop_asks_the_master_that_the_sentinels_name(watch: Watch, ask_in_loop: Any) -> None:
    watched = watch("valkey", password="s3cret")
    client = ask_in_loop(f"{watched.url}/2")
    assert client.link.wait(60)
    assert client.run(ScriptCall(COUNT, (b"n",), ())) == [1]
    assert client.get_all([b"n"] * 20) == [b"1"] * 20


def test_service_name_unknown_to_the_sentinels_is_an_outage(watch: Watch, connect: Any, until: Any) -> None:
    watched = watch("valkey")
    link = connect(watched.url.replace("/main", "/other"))
    link.start()
    until(lambda: link.why == "no_master")


def test_dead_or_hanging_sentinels_do_not_hide_the_others(watch: Watch, connect: Any, until: Any) -> None:
    watched = watch("valkey")
    watched.sentinels[0].end()
    watched.sentinels[1].freeze()
    link = connect(watched.url, timeout=1.0)
    assert link.wait(60)
    assert link.call(b"n", "SET", "n", "1") == b"OK"
    link.close()


def test_working_master_is_kept_without_sentinels(watch: Watch, connect: Any) -> None:
    watched = watch("valkey")
    link = connect(watched.url)
    assert link.wait(60)
    for sentinel in watched.sentinels:
        sentinel.end()
    pause, begun = threading.Event(), time.monotonic()
    while time.monotonic() - begun < 2.5:  # the prober asks every second
        assert counted(link)
        pause.wait(0.05)
    assert link.available


@KINDS
@pytest.mark.parametrize("how", ["killed", "hung"])
def test_sentinel_store_is_available_after_a_failover(
    watch: Watch, connect: Any, until: Any, kind: str, how: str
) -> None:
    watched = watch(kind, replicas=2)
    link = connect(watched.url, timeout=0.5)
    assert link.wait(60)
    assert counted(link)
    master = watched.master()
    master.end() if how == "killed" else master.freeze()
    assert not counted(link)
    until(lambda: link.available and counted(link))
    until(lambda: watched.master() is not master)
    assert counted(link) > 1, "the new master has what the replicas had"


@KINDS
def test_demoted_master_is_left_while_it_still_answers(watch: Watch, connect: Any, until: Any, kind: str) -> None:
    """In a planned failover nothing fails, yet reads must not continue on the old master, now a replica."""
    watched = watch(kind, replicas=2)
    link = connect(watched.url)
    assert link.wait(60)
    old = watched.master()
    watched.sentinels[0].admin().execute_command("SENTINEL", "FAILOVER", "main")
    until(lambda: watched.master() is not old)
    new = watched.master()
    until(lambda: counted(link) and new.admin().get("n") is not None)
    new.admin().set("only-here", "1")
    until(lambda: _reads(link, b"only-here") == b"1")


def _reads(link: Any, key: bytes) -> Any:
    try:
        return link.read([(key, (b"GET", key))])[0]
    except StoreUnavailable:
        return None
