"""Test the link: it reads what redis-py reads, and an error of one command is no outage."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.scripts import Script, load, registered
from service.adapters.redis.client.traced_link import TracedLink
from service.domain.errors import StoreUnavailable

PUT = load("write_source")
ECHO = Script("echo", b"return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")


def test_link_connects_only_at_first_use() -> None:
    before = threading.active_count()
    link = Link(parse_address("redis://127.0.0.1:1"))
    assert threading.active_count() == before
    assert link.available
    link.close()


def test_one_read_answers_many_commands_like_redis_py(link: Link, launch: Any, store_url: str) -> None:
    link.call(b"h", "HSET", "h", "a", b"\x00\xff\r\n", "b", 7)
    link.call(b"s", "SET", b"s", "caf\u00e9")
    link.call(b"l", "RPUSH", b"l", 1, 2)
    replies = link.read(
        [
            (b"h", (b"HGETALL", b"h")),
            (b"s", (b"GET", b"s")),
            (b"none", (b"GET", b"none")),
            (b"l", (b"LRANGE", b"l", b"0", b"-1")),
            (b"l", (b"LLEN", b"l")),
        ]
    )
    assert replies == [[b"a", b"\x00\xff\r\n", b"b", b"7"], "caf\u00e9".encode(), None, [b"1", b"2"], 2]


def test_large_reply_arrives_complete(link: Link) -> None:
    large = os.urandom(3_000_000)
    link.call(b"k", "SET", "k", large)
    assert link.read([(b"k", (b"GET", b"k")), (b"k", (b"STRLEN", b"k"))]) == [large, len(large)]


def test_empty_pipeline_returns_nothing(link: Link) -> None:
    assert link.pipeline([]) == []


def test_nothing_to_ask_needs_neither_a_store_nor_a_span() -> None:
    spans: list[str] = []

    @contextmanager
    def span(name: str, count: int) -> Iterator[None]:
        spans.append(name)
        yield

    nowhere = parse_address("redis://127.0.0.1:1")
    for link in (Link(nowhere), TracedLink(nowhere, span=span)):
        assert (link.read([]), link.run_all([])) == ([], [])
        link.close()
    assert spans == []


def test_unknown_script_is_loaded_and_run_once(link: Link) -> None:
    assert link.run(ECHO, [b"n"], [b"x"]) == [b"n", b"x", 1]
    link.each_master("SCRIPT", "FLUSH")
    assert link.run(ECHO, [b"n"], ["y"]) == [b"n", b"y", 2]


def test_every_script_is_loaded_before_the_store_is_available(link: Link) -> None:
    assert PUT in registered()
    assert load("write_source") is PUT
    known = link.call(b"k", "SCRIPT", "EXISTS", *(script.sha for script in registered()))
    assert known == [1] * len(registered())


@pytest.mark.parametrize("again", [1, 2])
def test_refused_command_is_a_store_error_and_no_outage(link: Link, again: int) -> None:
    link.call(b"s", "SET", "s", "1")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        link.read([(b"s", (b"HGETALL", b"s"))])
    with pytest.raises(StoreError, match="boom"):
        link.run(Script("boom", b"return redis.error_reply('boom')"), [b"s"], [])
    with pytest.raises(StoreError, match="WRONGTYPE"):
        link.run(Script("wrong", b"return redis.call('HGETALL', KEYS[1])"), [b"s"], [])
    with pytest.raises(StoreError) as refused:
        link.call(b"s", "NOSUCH", "r-1042")
    assert "r-1042" not in str(refused.value)
    assert link.available
    assert link.read([(b"s", (b"GET", b"s"))]) == [b"1"]


def test_replies_match_their_commands_after_a_refused_command(link: Link) -> None:
    """A refused command in the middle leaves no unread reply."""
    link.call(b"s", "SET", "s", "1")
    with pytest.raises(StoreError):
        link.read([(b"s", (b"GET", b"s")), (b"s", (b"LLEN", b"s")), (b"s", (b"GET", b"s"))])
    assert link.read([(b"s", (b"STRLEN", b"s"))]) == [1]


def test_many_threads_get_their_own_replies(link: Link) -> None:
    def work(number: int) -> bool:
        key = b"k%d" % number
        link.call(key, "SET", key, number)
        return all(link.read([(key, (b"GET", key)), (key, (b"STRLEN", key))])[0] == key[1:] for _ in range(100))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(64)))


def test_pipeline_of_thousands_is_answered_in_order(link: Link) -> None:
    link.pipeline([(b"k%d" % n, ("SET", b"k%d" % n, n)) for n in range(2_345)])
    replies = link.pipeline([(b"k%d" % n, (b"GET", b"k%d" % n)) for n in range(2_345)])
    assert replies == [b"%d" % n for n in range(2_345)]


def test_scan_finds_every_key_of_a_prefix(link: Link) -> None:
    link.pipeline([(b"a:%d" % n, ("SET", b"a:%d" % n, n)) for n in range(700)])
    link.call(b"b:1", "SET", "b:1", 1)
    found = [key for page in link.scan_nodes(b"a:*") for key in page]
    assert {*found} == {b"a:%d" % n for n in range(700)}


def test_each_master_is_the_single_server(link: Link) -> None:
    ((name, size),) = link.each_master("DBSIZE")
    assert size == 1, "the probe's own key"
    assert name.startswith("/")


def test_info_reports_the_configuration_of_the_store(link: Link) -> None:
    found = link.info()
    assert found["server"] in ("valkey", "redis")
    assert str(found["version"]).split(".")[0] in ("8", "9")
    assert found["masters"] == 1
    assert found["replicas"] == 0
    assert found["appendonly"] == "no"
    assert found["maxmemory-policy"] == "noeviction"
    assert found["min-replicas-to-write"] == "0"


def test_user_without_config_permission_can_use_the_store(launch: Any, connect: Any) -> None:
    server = launch()
    server.admin().execute_command("ACL", "SETUSER", "u", "on", ">p@:/s", "~pw:*", "+@all", "-config")
    link = connect(server.url.replace("unix://", "unix://u:p%40%3A%2Fs@"))
    assert link.wait(60)
    assert link.info()["server"] == "valkey"
    assert "appendonly" not in link.info()
    with pytest.raises(StoreUnavailable) as refused:
        link.call(b"other", "SET", "other", "1")
    assert refused.value.why == "noperm"
    assert link.available, "one command's trouble is not the store's"
    assert link.call(b"pw:1", "SET", "pw:1", "1") == b"OK"


@pytest.mark.parametrize("tcp", [False, True])
def test_database_and_password_of_the_url_are_used(launch: Any, connect: Any, tcp: bool) -> None:
    server = launch(tcp=tcp, requirepass="s3/cr:t")
    url = server.url.replace("://", "://:s3%2Fcr%3At@") + ("/2" if tcp else "?db=2")
    link = connect(url)
    assert link.wait(60)
    link.call(b"k", "SET", "k", "1")
    assert server.admin().info("keyspace").keys() == {"db2"}


def test_ready_means_writable_with_scripts_loaded(link: Link) -> None:
    link.each_master("SCRIPT", "FLUSH")
    assert link.ready()
    assert link.call(b"k", "SCRIPT", "EXISTS", PUT.sha) == [1]


def test_closed_link_answers_nothing(connect: Any, valkey_url: str) -> None:
    link = connect(valkey_url)
    link.start()
    link.start()
    assert link.wait(60)
    link.close()
    link.close()
    with pytest.raises(StoreUnavailable) as closed:
        link.call(b"k", "GET", "k")
    assert closed.value.why == "closed"
    assert not link.wait(0.01)
    assert not link.ready()


def _child(link: Link, pipe: Pipe) -> None:
    pipe.send([link.wait(60), link.call(b"n", "INCR", "n"), link.call(b"n", "CLIENT", "ID")])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python 3.12 and later warn of this.
def test_forked_child_opens_its_own_connections(link: Link) -> None:
    link.call(b"n", "SET", "n", "1")
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(link, theirs))
    child.start()
    assert ours.poll(60)
    up, value, client = ours.recv()
    child.join()
    assert (up, value) == (True, 2)
    assert client != link.call(b"n", "CLIENT", "ID")
    assert link.call(b"n", "INCR", "n") == 3


def test_idle_connection_closed_by_the_store_is_replaced(link: Link, store_url: str) -> None:
    changes: list[Any] = []
    link.call(b"n", "SET", "n", "0")
    for _ in range(3):
        link.call(b"n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    other = Link(parse_address(store_url), on_change=lambda *change: changes.append(change))
    assert other.wait(60)
    assert other.call(b"n", "GET", "n") == b"0"
    for number in range(1, 6):
        link.call(b"n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert other.call(b"n", "INCR", "n") == number, "never twice, never lost"
        link.call(b"n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert other.read([(b"n", (b"GET", b"n"))]) == [b"%d" % number]
        link.call(b"n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert other.run(ECHO, [b"e"], ["x"])[2] == number
    assert changes == [(True, "", "")], "no outage was seen"
    other.close()
