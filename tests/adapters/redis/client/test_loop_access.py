"""Test the store's client in an event loop: one connection a server, for all kinds of stores, and what it does in trouble."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import Script, ScriptCall
from service.domain.errors import StoreUnavailable
from tests.loop_client import Ask

ECHO = Script("echo", b"return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")


def get(key: bytes) -> Command:
    return key, (b"GET", key)


def clients_of(server: Any) -> int:
    return int(sum(client["name"] == "" for client in server.admin().client_list())) - 1


@pytest.mark.parametrize("kind", ["valkey", "redis8"])
def test_questions_of_one_moment_are_answered_over_one_connection(launch: Any, ask_in_loop: Ask, kind: str) -> None:
    server = launch(kind)
    client = ask_in_loop(server.url)
    keys = [b"k%d" % number for number in range(500)]
    client.link.pipeline([(key, (b"SET", key, key)) for key in keys])
    assert client.get_all(keys) == keys
    assert client.read(get(b"k1"), get(b"none"), get(b"k2")) == [b"k1", None, b"k2"]
    assert clients_of(server) <= 3  # the pool's, and the loop's


def test_large_question_and_reply_arrive_complete(launch: Any, ask_in_loop: Ask) -> None:
    client = ask_in_loop(launch(tcp=True).url)
    large = bytes(range(256)) * 20_000
    (reply,) = client.run(ScriptCall(ECHO, (b"n",), (large,)))
    assert reply == [b"n", large, 1]
    assert client.get_all([b"n"] * 50) == [b"1"] * 50


def test_unknown_script_is_run_once(launch: Any, ask_in_loop: Ask) -> None:
    server = launch()
    client = ask_in_loop(server.url)
    client.read(get(b"n"))
    server.admin().script_flush()
    first, second = client.run(ScriptCall(ECHO, (b"n",), (b"a",)), ScriptCall(ECHO, (b"n",), (b"b",)))
    assert (first, second) == ([b"n", b"a", 1], [b"n", b"b", 2])


def test_error_of_a_script_is_no_outage(launch: Any, ask_in_loop: Ask) -> None:
    client = ask_in_loop(launch().url)
    with pytest.raises(StoreError):
        client.run(ScriptCall(Script("wrong", b"return redis.call('NONE')"), (b"n",), ()))
    assert client.link.available
    assert client.read(get(b"n")) == [None]


def test_read_goes_on_after_the_server_closed_the_connection(launch: Any, ask_in_loop: Ask) -> None:
    server = launch()
    client = ask_in_loop(server.url)
    client.link.call(b"k", "SET", "k", "v")
    for _ in range(3):
        assert client.read(get(b"k")) == [b"v"]
        for one in server.admin().client_list():
            if int(one["id"]) != server.admin().client_id():
                server.admin().client_kill_filter(_id=one["id"])
    assert client.read(get(b"k")) == [b"v"]
    assert client.link.available


def test_script_is_not_sent_again_after_a_lost_connection(launch: Any, ask_in_loop: Ask, until: Any) -> None:
    server = launch(tcp=True)
    client = ask_in_loop(server.url, timeout=30)
    client.run(ScriptCall(ECHO, (b"n",), (b"a",)))
    server.freeze()
    asked = client.begin(ScriptCall(ECHO, (b"n",), (b"b",)))
    client.turn()  # now it is sent
    server.process.kill()
    server.process.wait()
    server.start()
    with pytest.raises(StoreUnavailable):
        asked.result(60)
    until(lambda: client.link.available)
    assert client.read(get(b"n")) == [None]


def test_killed_store_fails_at_once_and_is_used_again_when_it_is_back(
    launch: Any, ask_in_loop: Ask, until: Any
) -> None:
    server = launch(tcp=True)
    client = ask_in_loop(server.url)
    assert client.read(get(b"k")) == [None]
    server.end()
    with pytest.raises(StoreUnavailable):
        client.read(get(b"k"))
    assert not client.link.available
    with pytest.raises(StoreUnavailable, match="refused"):
        client.read(get(b"k"))
    server.start()
    until(lambda: client.link.available)
    assert client.run(ScriptCall(ECHO, (b"n",), (b"a",))) == [[b"n", b"a", 1]]


def test_hanging_store_fails_after_the_time_out(launch: Any, ask_in_loop: Ask, until: Any) -> None:
    server = launch()
    client = ask_in_loop(server.url, timeout=0.25)
    until(lambda: client.link.available and client.read(get(b"k")) == [None])
    server.freeze()
    with pytest.raises(StoreUnavailable):
        client.run(ScriptCall(ECHO, (b"n",), (b"a",)))
    assert not client.link.available
    server.thaw()
    until(lambda: client.link.available)


def test_store_with_a_password_and_a_database_is_used(launch: Any, ask_in_loop: Ask) -> None:
    server = launch(tcp=True, requirepass="secret-of-the-store")
    client = ask_in_loop(f"redis://:secret-of-the-store@127.0.0.1:{server.port}/3")
    client.link.call(b"k", "SET", "k", "v")
    assert client.get_all([b"k"] * 20) == [b"v"] * 20
