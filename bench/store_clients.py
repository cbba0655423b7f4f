"""CPU time of an access check's read with our client and with redis-py: `python -m bench.store_clients [reads a round]`.

The read is that of a metered check: a reader's record (HGETALL), the reader's meter and the visitor's (GET), sent in one
write. The store is the embedded server, once alone and once as a cluster of one node. The clients take turns in five
rounds. CPU time is that of this process, without the server's.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py ships its types, but some of its methods have none.

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.embedded.valkey import server_binary

ROUNDS = 5
RECORD, READER_METER, VISITOR_METER = b"{r}reader", b"{r}meter", b"{v}meter"
COMMANDS = [
    (RECORD, (b"HGETALL", RECORD)),
    (READER_METER, (b"GET", READER_METER)),
    (VISITOR_METER, (b"GET", VISITOR_METER)),
]
PORT = 17_391

Read = Callable[[], list[object]]


def write_records(client: redis.Redis | RedisCluster) -> None:
    """Write a record of three sources, and two meters of five stories, in the sizes that the service writes."""
    client.hset(RECORD.decode(), mapping={f"s:{number}": os.urandom(90) for number in range(3)})
    client.set(READER_METER, os.urandom(45))
    client.set(VISITOR_METER, os.urandom(45))


def by_pipeline(client: redis.Redis | RedisCluster) -> Read:
    """Return the read as redis-py's documentation writes it."""

    def read() -> list[object]:
        pipeline = client.pipeline(transaction=False) if isinstance(client, redis.Redis) else client.pipeline()
        pipeline.hgetall(RECORD.decode())
        pipeline.get(READER_METER)
        pipeline.get(VISITOR_METER)
        return list(pipeline.execute())

    return read


def by_connection(client: redis.Redis) -> Read:
    """Return the read over redis-py's pooled connections and parser, without its commands and pipeline."""
    pool = client.connection_pool

    def read() -> list[object]:
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands([parts for _, parts in COMMANDS]))
            return [connection.read_response() for _ in COMMANDS]
        finally:
            pool.release(connection)

    return read


@contextmanager
def cluster_of_one(folder: Path) -> Iterator[str]:
    """Start a cluster whose only node serves every slot; yield its host and port."""
    options = {"port": str(PORT), "dir": str(folder), "cluster-enabled": "yes", "save": "", "bind": "127.0.0.1"}
    command = [str(server_binary()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        node = redis.Redis(port=PORT, retry=Retry(ConstantBackoff(0.05), 100))
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        while b"cluster_state:ok" not in node.execute_command("CLUSTER", "INFO"):
            time.sleep(0.01)
        yield f"127.0.0.1:{PORT}"
    finally:
        server.terminate()
        server.wait()


def measure(title: str, ways: dict[str, Read], count: int) -> None:
    """Print the median CPU and wall time of a read, of five rounds in turn, and the least and most CPU."""
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, read in ways.items():
            read()
            began, used = time.perf_counter(), time.process_time()
            for _ in range(count):
                read()
            cpu[name].append((time.process_time() - used) / count * 1e6)
            wall[name].append((time.perf_counter() - began) / count * 1e6)
    print(f"{title}; microseconds a read, {ROUNDS} rounds of {count}")
    for name, taken in cpu.items():
        spread = f"({min(taken):.0f} to {max(taken):.0f})"
        print(f"  {name:32} CPU {statistics.median(taken):4.0f} {spread:12} wall {statistics.median(wall[name]):4.0f}")


def main() -> None:
    """Measure a server alone on its socket, then a cluster over TCP."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    options = {"socket_timeout": 0.25, "retry": Retry(NoBackoff(), 0)}
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        address = store.start()
        link, client = Link(parse_address(address)), redis.Redis.from_url(address, **options)
        write_records(client)
        ways = {
            "our client": lambda: link.read(COMMANDS),
            "redis-py, connections alone": by_connection(client),
            "redis-py, pipeline": by_pipeline(client),
        }
        measure("one server, a socket", ways, count)
        link.close()
        store.stop()
    with tempfile.TemporaryDirectory() as folder, cluster_of_one(Path(folder)) as place:
        cluster = RedisCluster.from_url(f"redis://{place}", **options)
        link = Link(parse_address(f"redis+cluster://{place}"))
        write_records(cluster)
        ways = {"our client": lambda: link.read(COMMANDS), "redis-py, pipeline": by_pipeline(cluster)}
        measure("a cluster of one node, TCP", ways, count)
        link.close()


if __name__ == "__main__":
    main()
