"""Test a store whose memory is full: it is no outage, and what must be written is written all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis.client.link import Link
from service.adapters.redis.client.memory import MemoryUse, memory_use
from service.adapters.redis.client.scripts import Script
from service.domain.errors import StoreUnavailable
from tests.store_servers import Server

ROOT = Path(__file__).parents[4]
KINDS = pytest.mark.parametrize("kind", ["valkey", "redis8"])
COUNT = Script("count", b"return redis.call('INCR', KEYS[1])")
WRITE = Script("write", b"#!lua flags=allow-oom\nreturn redis.call('INCR', KEYS[1])")


def fill(server: Server) -> None:
    server.admin().config_set("maxmemory", "1")


@pytest.fixture
def full(launch: Any, connect: Any, until: Any, kind: str) -> Link:
    """Return a link to a store that became full after the link had connected, and whose prober has noticed."""
    server = launch(kind)
    link: Link = connect(server.url)
    assert link.wait(60)
    fill(server)
    until(lambda: link.memory().is_filling)
    return link


@KINDS
def test_full_store_fails_only_the_script_that_may_not_write(full: Link, kind: str) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        full.run(COUNT, [b"n"], [])
    assert refused.value.why == "oom"
    assert full.available
    assert full.run(WRITE, [b"n"], []) == 1
    assert full.read([(b"n", (b"GET", b"n"))]) == [b"1"]


@KINDS
def test_full_store_takes_plain_writes(full: Link, kind: str) -> None:
    assert full.call(b"k", "SET", "k", "v", b"EX", 100) == b"OK"
    assert full.call(b"k", b"GET", b"k") == b"v"
    many = [(b"h", (b"HSET", b"h", f"f{number}", number)) for number in range(300)]
    assert full.pipeline([*many, (b"h", (b"HLEN", b"h"))]) == [1] * 300 + [300]
    full.call(b"", b"SCRIPT", b"LOAD", COUNT.text)
    with pytest.raises(StoreUnavailable, match="OOM"):
        full.pipeline([(b"k", (b"SET", b"k", b"w")), (b"n", (b"EVALSHA", COUNT.sha, 1, b"n"))])
    assert full.call(b"k", b"GET", b"k") == b"w"


@KINDS
def test_pipeline_to_full_store_keeps_its_order(full: Link, kind: str) -> None:
    full.pipeline([(b"h", (b"HSET", b"h", b"a", 1)), (b"h", (b"EXPIRE", b"h", 100)), (b"h", (b"HSET", b"h", b"b", 2))])
    assert full.call(b"h", b"HLEN", b"h") == 2
    assert full.call(b"h", b"TTL", b"h") > 0


@KINDS
def test_full_store_stays_available_to_probe_and_readiness(full: Link, kind: str) -> None:
    assert full.available
    assert full.ready()
    assert full.why == ""


@KINDS
def test_store_that_is_full_at_the_start_is_available(launch: Any, connect: Any, kind: str) -> None:
    server = launch(kind)
    fill(server)
    link = connect(server.url)
    assert link.wait(60)
    assert link.memory().share > 1
    assert link.memory_at(b"k") == link.memory()
    assert link.call(b"k", "SET", "k", "v") == b"OK"


@KINDS
def test_memory_share_follows_the_store(launch: Any, connect: Any, until: Any, kind: str) -> None:
    server = launch(kind, maxmemory="16mb")
    link = connect(server.url)
    assert link.wait(60)
    assert 0 < link.memory().share < 0.3
    server.admin().set("k", bytes(6 * 2**20))
    until(lambda: link.memory().share > 0.3)
    server.admin().delete("k")
    until(lambda: link.memory().share < 0.3)
    server.admin().config_set("maxmemory", "0")
    until(lambda: link.memory().share == 0)


def test_store_without_permission_for_info_has_no_known_memory(launch: Any, connect: Any) -> None:
    server = launch(maxmemory="16mb")
    server.admin().execute_command("ACL", "SETUSER", "default", "-info")
    link = connect(server.url)
    assert link.wait(60)
    assert link.memory() == MemoryUse()


def test_first_refusal_shows_that_a_store_is_full(launch: Any, connect: Any) -> None:
    """The store does not report its memory here, so that nothing else shows it."""
    server = launch()
    server.admin().execute_command("ACL", "SETUSER", "default", "-info")
    link = connect(server.url)
    assert link.wait(60)
    fill(server)

    def is_written_after_a_refusal() -> bool:
        with pytest.raises(StoreUnavailable):
            link.run(COUNT, [b"n"], [])
        try:
            return bool(link.pipeline([(b"s", (b"SADD", b"s", b"a")), (b"s", (b"SADD", b"s", b"b"))]))
        except StoreUnavailable:
            return False

    # The prober reads the memory once a second: it can do so right between the two, but not each time.
    assert any(is_written_after_a_refusal() for _ in range(5))


def test_every_script_may_write_to_a_full_store_but_of_visitors_and_stories() -> None:
    scripts = {path.stem: path.read_text().partition("\n")[0] for path in (ROOT / "service").rglob("*.lua")}
    flags = ("#!lua flags=allow-oom", "#!lua flags=no-writes")
    refused = {name for name, first in scripts.items() if first not in flags}
    assert refused == {"count_story", "join_visitor", "remember_stories"}


def test_memory_use_reads_only_its_own_figures() -> None:
    text = b"# Memory\r\nused_memory:12\r\nused_memory_rss:99\r\nmaxmemory:48\r\nmaxmemory_policy:noeviction\r\n"
    assert memory_use(text) == MemoryUse(12, 48)
    assert memory_use(text).share == 0.25
