"""Test the link to a cluster: keys on all masters, one wait for several, and failovers."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from redis.crc import key_slot

from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.scripts import Script, ScriptCall, load, registered
from service.domain.errors import StoreUnavailable
from tests.store_clusters import ON_BOTH_KINDS, BuildCluster, Cluster, ask

pytestmark = pytest.mark.full

PUT = load("write_source")
COUNT = Script("count", b"return redis.call('INCR', KEYS[1])")
BOTH = Script("both", b"return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}")
KEYS = [b"k%d" % number for number in range(300)]


def move(cluster: Cluster, key: bytes, *, finish: bool = True) -> tuple[Any, Any]:
    """Move a key's slot to another master, or begin to."""
    slot, source = key_slot(key), cluster.owner(key)
    target = next(node for node in cluster.masters if node is not source)
    source_id, target_id = ask(source, "CLUSTER MYID"), ask(target, "CLUSTER MYID")
    ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", source_id)
    ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", target_id)
    if finish:
        for name in ask(source, "CLUSTER GETKEYSINSLOT", slot, 100):
            ask(source, "MIGRATE", "127.0.0.1", target.port, name, 0, 1000)
        for node in (target, source):
            ask(node, "CLUSTER SETSLOT", slot, "NODE", target_id)
    return source, target


@ON_BOTH_KINDS
def test_cluster_keys_are_spread_and_read_in_one_wait(build_cluster: BuildCluster, connect: Any, kind: str) -> None:
    cluster = build_cluster(kind)
    link = connect(cluster.url)
    assert link.wait(60)
    link.pipeline([(key, ("SET", key, key)) for key in KEYS])
    assert link.read([(key, (b"GET", key)) for key in KEYS]) == KEYS
    assert all(node.admin().dbsize() > 50 for node in cluster.masters)
    assert [link.run(COUNT, [b"n%d" % number], []) for number in range(9)] == [1] * 9
    assert len(link.each_master("DBSIZE")) == 3
    found = {key for page in link.scan_nodes(b"k*") for key in page}
    assert found == set(KEYS)
    assert link.info()["masters"] == 3
    for node in cluster.masters:
        assert ask(node, "SCRIPT EXISTS", *(script.sha for script in registered())) == [True] * len(registered())
        ask(node, "SCRIPT FLUSH")
    assert link.ready()
    with pytest.raises(StoreError, match="WRONGTYPE"):
        link.read([(b"k1", (b"GET", b"k1")), (b"k2", (b"LLEN", b"k2")), (b"k3", (b"GET", b"k3"))])
    assert link.read([(key, (b"GET", key)) for key in KEYS]) == KEYS
    with pytest.raises(StoreError, match="CROSSSLOT"):
        link.run(BOTH, [b"k1", b"k2"], [])


@ON_BOTH_KINDS
def test_full_master_takes_writes_and_leaves_the_others_as_they_are(
    build_cluster: BuildCluster, connect: Any, until: Any, kind: str
) -> None:
    cluster = build_cluster(kind)
    link = connect(cluster.url)
    assert link.wait(60)
    full = next(key for key in KEYS if cluster.owner(key) is cluster.masters[1])
    other = next(key for key in KEYS if cluster.owner(key) is cluster.masters[0])
    cluster.masters[1].admin().config_set("maxmemory", "1")
    until(lambda: link.memory_at(full).is_filling)
    assert not link.memory_at(other).is_filling
    assert link.memory() == link.memory_at(full)
    link.pipeline([(key, ("SET", key, key)) for key in KEYS])
    assert link.read([(key, (b"GET", key)) for key in KEYS]) == KEYS
    assert link.run(PUT, [b"{k1}", b"{k1}past", b"{k1}h", b"{k1}o"], ["f", 1, "higher", "reader", "[1,1]", "", "", 9])
    assert link.run(COUNT, [b"{%b}n" % other], []) == 1
    with pytest.raises(StoreUnavailable, match="OOM"):
        link.run(COUNT, [b"{%b}n" % full], [])
    assert link.ready()


def test_one_seed_node_is_enough_and_dead_ones_are_ignored(build_cluster: BuildCluster, connect: Any) -> None:
    cluster = build_cluster("valkey")
    link = connect(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.masters[2].port}")
    assert link.wait(60)
    link.pipeline([(key, ("SET", key, "1")) for key in KEYS])


def test_event_loop_asks_every_master_and_follows_a_moving_slot(
    build_cluster: BuildCluster, ask_in_loop: Any, until: Any
) -> None:
    cluster = build_cluster("valkey")
    client = ask_in_loop(cluster.url)
    client.link.pipeline([(key, (b"SET", key, key)) for key in KEYS])
    assert client.read(*[(key, (b"GET", key)) for key in KEYS]) == KEYS
    moved = KEYS[0]
    move(cluster, moved)
    assert client.read((moved, (b"GET", moved)), (KEYS[1], (b"GET", KEYS[1]))) == [moved, KEYS[1]]
    assert client.run(ScriptCall(COUNT, (b"{%b}n" % moved,), ())) == [1]
    assert client.run(ScriptCall(COUNT, (b"{%b}n" % moved,), ())) == [2]
    assert client.link.available


@ON_BOTH_KINDS
def test_moving_slot_is_followed_without_an_outage(
    build_cluster: BuildCluster, connect: Any, until: Any, kind: str
) -> None:
    changes: list[Any] = []
    cluster = build_cluster(kind)
    link = connect(cluster.url, on_change=lambda *change: changes.append(change))
    assert link.wait(60)
    link.pipeline([(key, ("SET", key, key)) for key in KEYS])

    # Halfway, the keys of the slot are on two nodes, and one read may need both.
    source, target = move(cluster, b"{t}1", finish=False)
    link.call(b"{t}2", "SET", "{t}2", "new")
    assert target.admin().dbsize() > 0
    assert link.read([(b"{t}2", (b"GET", b"{t}2")), (b"k1", (b"GET", b"k1"))]) == [b"new", b"k1"]
    assert link.run(COUNT, [b"{t}3"], []) == 1
    assert link.run(COUNT, [b"{t}3"], []) == 2
    here, there = b"{u}1", b"{u}2"
    link.pipeline([(here, ("SET", here, "a")), (there, ("SET", there, "b"))])
    split, elsewhere = move(cluster, here, finish=False)
    ask(split, "MIGRATE", "127.0.0.1", elsewhere.port, there, 0, 1000)
    with pytest.raises(StoreUnavailable) as divided:
        link.run(BOTH, [here, there], [])
    assert divided.value.why == "tryagain"
    assert link.available, "the other slots are as they were"
    assert link.read([(here, (b"GET", here)), (there, (b"GET", there))]) == [b"a", b"b"]

    move(cluster, b"k7")
    assert link.read([(key, (b"GET", key)) for key in KEYS]) == KEYS
    move(cluster, b"n8")
    assert link.run(COUNT, [b"n8"], []) == 1
    assert changes == [(True, "", "")]
    assert source is not target


def test_read_divided_by_a_moving_slot_succeeds_after_the_move(
    build_cluster: BuildCluster, connect: Any, until: Any
) -> None:
    cluster = build_cluster("valkey")
    link = connect(cluster.url)
    assert link.wait(60)
    here, there = b"{u}1", b"{u}2"
    link.pipeline([(here, ("SET", here, "a")), (there, ("SET", there, "b"))])
    source, target = move(cluster, here, finish=False)
    ask(source, "MIGRATE", "127.0.0.1", target.port, there, 0, 1000)
    finishing = threading.Timer(0.01, lambda: ask(source, "MIGRATE", "127.0.0.1", target.port, here, 0, 1000))
    finishing.start()
    until(lambda: _both(link, here, there) == [b"a", b"b"])
    finishing.join()


def _both(link: Any, here: bytes, there: bytes) -> Any:
    try:
        return link.run(BOTH, [here, there], [])
    except StoreUnavailable:
        return None


def test_one_unavailable_master_is_an_outage_of_the_whole_cluster(
    build_cluster: BuildCluster, connect: Any, until: Any
) -> None:
    """With half a store, the hash of the ID would decide which readers have access."""
    cluster = build_cluster("valkey")
    link = connect(cluster.url, timeout=1.0)
    assert link.wait(60)
    cluster.masters[1].freeze()
    with pytest.raises(StoreUnavailable, match="timeout"):
        link.read([(key, (b"GET", key)) for key in KEYS])
    with pytest.raises(StoreUnavailable, match="timeout"):
        link.read([(b"k1", (b"GET", b"k1"))])
    assert not link.available
    cluster.masters[1].thaw()
    assert until(lambda: link.available)


@ON_BOTH_KINDS
@pytest.mark.parametrize("how", ["killed", "hung"])
def test_cluster_is_available_after_a_failover(
    build_cluster: BuildCluster, connect: Any, until: Any, kind: str, how: str
) -> None:
    cluster = build_cluster(kind, replicas=3, node_timeout=2000)
    link = connect(cluster.url, timeout=0.5)
    assert link.wait(60)
    link.pipeline([(key, ("SET", key, key)) for key in KEYS])
    until(lambda: all(node.admin().info("replication")["master_link_status"] == "up" for node in cluster.replicas))
    until(lambda: sum(node.admin().dbsize() for node in cluster.replicas) >= len(KEYS))
    lost = cluster.masters[0]
    lost.end() if how == "killed" else lost.freeze()
    with pytest.raises(StoreUnavailable):
        link.read([(key, (b"GET", key)) for key in KEYS])
    until(lambda: link.available)
    assert link.read([(key, (b"GET", key)) for key in KEYS]) == KEYS
    link.pipeline([(key, ("SET", key, b"2")) for key in KEYS])
    assert link.ready()
    assert f"127.0.0.1:{lost.port}" not in dict(link.each_master("PING"))


@ON_BOTH_KINDS
def test_planned_cluster_failover_is_followed(build_cluster: BuildCluster, connect: Any, until: Any, kind: str) -> None:
    cluster = build_cluster(kind, replicas=3)
    link = connect(cluster.url)
    assert link.wait(60)
    until(lambda: all(node.admin().info("replication")["master_link_status"] == "up" for node in cluster.replicas))
    ask(cluster.replicas[0], "CLUSTER FAILOVER")
    until(lambda: cluster.replicas[0].admin().info("replication")["role"] == "master")
    for key in KEYS:
        until(lambda key=key: _sets(link, key))
    assert f"127.0.0.1:{cluster.replicas[0].port}" in dict(link.each_master("PING"))


def _sets(link: Any, key: bytes) -> bool:
    try:
        return bool(link.call(key, "SET", key, "1") == b"OK")
    except StoreUnavailable:
        return False


def test_cluster_with_a_password_is_joined(build_cluster: BuildCluster, connect: Any) -> None:
    cluster = build_cluster("valkey", requirepass="s3cret")
    link = connect(cluster.url.replace("://", "://:s3cret@"))
    assert link.wait(60)
    link.pipeline([(key, ("SET", key, "1")) for key in KEYS])
