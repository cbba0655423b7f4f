"""Run clusters of Valkey and of Redis 8: `build_cluster("valkey", replicas=3)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pytest
from redis.crc import key_slot

from tests.store_servers import Server, wait_until

ON_BOTH_KINDS = pytest.mark.parametrize("kind", ["valkey", "redis8"])
SLOTS = 16384


@dataclass
class Cluster:
    masters: list[Server]
    replicas: list[Server]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def owner(self, key: bytes) -> Server:
        return self.masters[key_slot(key) * 3 // SLOTS]

    def settled(self) -> bool:
        nodes = [*self.masters, *self.replicas]
        return all(_state(node) == "ok" and _known(node) == len(nodes) for node in nodes)


def ask(server: Server, *parts: Any) -> Any:
    client: Any = server.admin()  # redis-py leaves this method untyped
    return client.execute_command(*parts)


def _facts(server: Server) -> dict[str, str]:
    said = ask(server, "CLUSTER INFO")
    return said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split("\r\n") if line)


def _state(server: Server) -> str:
    return _facts(server)["cluster_state"]


def _known(server: Server) -> int:
    return int(_facts(server)["cluster_known_nodes"])


def _has_replica(master: Server) -> bool:
    return bool(master.admin().info("replication")["connected_slaves"])


class BuildCluster(Protocol):
    def __call__(self, kind: str, *, replicas: int = 0, node_timeout: int = 1000, **settings: str) -> Cluster: ...


@pytest.fixture
def build_cluster(launch: Callable[..., Server]) -> BuildCluster:
    """Build clusters of three masters and any number of replicas."""

    def built(kind: str, *, replicas: int = 0, node_timeout: int = 1000, **settings: str) -> Cluster:
        options = {"cluster_enabled": "yes", "cluster_node_timeout": str(node_timeout), **settings}
        nodes = [launch(kind, tcp=True, **options) for _ in range(3 + replicas)]
        cluster = Cluster(nodes[:3], nodes[3:])
        for number, node in enumerate(cluster.masters):
            first, last = -(-number * SLOTS // 3), -(-(number + 1) * SLOTS // 3) - 1
            ask(node, "CLUSTER ADDSLOTSRANGE", first, last)
        for number, node in enumerate(nodes):
            ask(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            ask(node, "CLUSTER MEET", "127.0.0.1", nodes[0].port)
        wait_until(cluster.settled)
        for number, node in enumerate(cluster.replicas):
            master = cluster.masters[number % 3]
            ask(node, "CLUSTER REPLICATE", ask(master, "CLUSTER MYID"))
            wait_until(partial(_has_replica, master))
        return cluster

    return built
