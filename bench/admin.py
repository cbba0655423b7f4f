"""Response time of each staff page: `python -m bench.admin [readers audit-records events]`.

`make bench` uses 100,000 readers, 1,000,000 audit records and 100,000 events; the default is a tenth of it. Pipelines write
the data in the service's record formats, with a valid audit chain; through the API, this would take hours. Each page is
requested repeatedly in this process, so the time includes the store and not the network.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from bench.running import ADMIN_KEY, environment
from demo import sample_month
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.audit import chain
from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys, partition_of, reader_hash
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import pack_change
from service.bootstrap import Service, build
from service.domain.sources import Item, Subscription
from service.domain.times import write_time
from service.entrypoints.http.wsgi import web
from service.settings.settings import load_settings

CHUNK = 1_000
TIMES = int(os.environ.get("BENCH_TIMES", "25"))
ACTIONS = ("grant.create", "grant.change", "grant.revoke", "link", "pass.create")

Command = tuple[bytes, tuple[bytes | int | str, ...]]


def readers(service: Service, count: int, now: int) -> Iterator[Command]:
    """Yield the commands that write readers with one subscription each, and its start in their history."""
    keys = service.store.keys
    for number in range(count):
        tag = reader_hash(f"r-{number}")
        item = Item("price_month", None, "prod_supporter", 1, now - 86_400, now + 29 * 86_400)
        source = Subscription(f"sub_bench{number}", "active", (item,), now - 86_400)
        field, record = source_codec.field_of(source), source_codec.encode(source, 2)
        yield keys.reader(tag), (b"HSET", keys.reader(tag), field, record)
        entry = pack_change(now - 86_400, field, record, f"event:evt_bench{number}")
        yield keys.history(tag), (b"RPUSH", keys.history(tag), entry)


def records(service: Service, count: int, people: int, now: int) -> Iterator[Command]:
    """Yield the commands that append `count` records to the audit chain, and index them by reader."""
    keys, signer = service.store.keys, service.secrets.signer("audit")
    head = service.audit_log.state().head
    for start in range(0, count, CHUNK):
        entries = [_entry(number, people, now - count + number) for number in range(start, min(start + CHUNK, count))]
        linked = chain.link_records(entries, head, signer)
        for at, record in enumerate(linked, start=head.seq + 1):
            yield keys.audit_log, (b"HSET", keys.audit_log, at, chain.pack(record))
            index = keys.audited(reader_hash(str(record["reader"])))
            yield index, (b"ZADD", index, at, str(at))
        head = chain.Head(head.seq + len(linked), linked[-1]["hash"])
    yield keys.audit_head, (b"HSET", keys.audit_head, b"seq", head.seq, b"hash", head.hash)


def _entry(number: int, people: int, at: int) -> dict[str, Any]:
    return audit_entry(
        Actor(f"admin-{number % 7}", "192.0.2.1"),
        ACTIONS[number % len(ACTIONS)],
        now=at,
        reader=f"r-{number * 7919 % people}",
        target=f"gr_bench{number:07d}",
        before=None,
        after={"plan": "vip", "from": write_time(at), "until": write_time(at + 86_400), "status": "active"},
        reason="a reason of the usual length, such as people write",
    )


def events(count: int, now: int) -> Iterator[Command]:
    """Yield the commands that write processed events over 30 days and more; one in a thousand has failed."""
    keys = Keys("pw")
    for number in range(count):
        name, event = f"subscription:sub_bench{number}", f"evt_bench{number}"
        partition, received = partition_of(name), (now - 30 * 86_400) * 1_000 + number * 25_000
        dead = number % 1_000 == 0
        change = json.dumps([[], [["notebook", now + 86_400, f"subscription:sub_bench{number}"]]])
        fields: list[bytes | int | str] = ["type", "customer.subscription.updated", "object", f"sub_bench{number}"]
        fields += ["created", received // 1_000, "received", received, "state", "dead" if dead else "applied"]
        fields += ["why", "", "attempts", 1, "duplicates", 0, "name", name, f"c:r-{number}", change]
        key = keys.stripe_event(partition, event)
        yield key, (b"HSET", key, *fields)
        yield keys.ledger(partition), (b"ZADD", keys.ledger(partition), received, event)
        if dead:
            yield keys.dead_events(partition), (b"ZADD", keys.dead_events(partition), received, event)


def write(link: Link, commands: Iterator[Command]) -> None:
    """Send commands in batches."""
    while batch := list(islice(commands, 2 * CHUNK)):
        link.pipeline(batch)


def seed(service: Service, link: Link, sizes: tuple[int, int, int]) -> None:
    """Write all data. `link` needs a long time-out."""
    now, (people, entries, deliveries) = int(time.time()), sizes
    sample_month.fill(service, now)
    for name, commands in (
        ("readers", readers(service, people, now)),
        ("audit records", records(service, entries, people, now)),
        ("events", events(deliveries, now)),
    ):
        started = time.monotonic()
        write(link, commands)
        print(f"{name}: seeded in {time.monotonic() - started:.0f} s", file=sys.stderr)


VIEWS = (
    ("overview", "/"),
    ("overview of a year", f"/?from={date.today() - timedelta(days=365)}"),
    ("system", "/system"),
    ("search that finds a reader", "/readers?q=r-77"),
    ("search by a subscription", "/readers?q=sub_demo001"),
    ("a reader", "/reader?id=r-77"),
    ("search by a grant that does not exist", "/readers?q=gr_0123456789abcdef01234567"),
    ("a reader with a history", "/reader?id=r-carla"),
    ("a reader as of a past date", "/reader?id=r-carla&at=2026-01-01T00:00:00Z"),
    ("check access", "/why?id=r-77&story=2026-harbour-contract"),
    ("seats", "/seats?id=sub_demo090"),
    ("imports", "/imports"),
    ("approvals", "/approvals"),
    ("passes", "/passes"),
    ("events", "/events"),
    ("failed events", "/events?state=dead"),
    ("an event", "/event?id=evt_bench77"),
    ("audit", "/audit"),
    ("audit of a reader", "/audit?reader=r-77"),
    ("audit of an action", "/audit?action=grant.revoke"),
    ("audit of an action without records", "/audit?action=reader.erase"),
    ("audit of an old object", "/audit?target=gr_bench0000007"),
    ("keys", "/keys"),
    ("checks as CSV", "/plots/checks.csv"),
)


def signed_in(service: Service) -> Client:
    client = Client(web(service).flask)
    shown = client.get("/admin/sign-in").text
    token = re.search(r'name="token" value="(\w+)"', shown)
    assert token is not None
    assert client.post("/admin/sign-in", data={"token": token[1], "key": ADMIN_KEY}).status_code == 303
    return client


def measure(ask: Callable[[], int]) -> tuple[float, float, float]:
    """Return the median and p95 of a page's response time, and the median of its CPU time, in milliseconds.

    The first request doesn't count. On a busy machine, look at the CPU time: the others include waiting for a core.
    """
    taken, worked = [], []
    for _ in range(TIMES + 1):
        started, used = time.perf_counter(), time.thread_time()
        status = ask()
        taken.append((time.perf_counter() - started) * 1_000)
        worked.append((time.thread_time() - used) * 1_000)
        assert status in (200, 303), status
    taken = sorted(taken[1:])
    return statistics.median(taken), taken[int(len(taken) * 0.95)], statistics.median(worked[1:])


def main() -> None:
    """Write the data, measure, and print a table. Exit with 1 if a page's median is 100 ms or more."""
    given = [int(text) for text in sys.argv[1:4]] or [10_000, 100_000, 10_000]
    sizes = (given[0], given[1], given[2])
    configure_logs(command=True)
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        url = store.start()
        service = build(load_settings(environment(Path(folder), REDIS_URL=url)), url)
        service.start()
        service.store.link.wait(5)
        patient = Link(parse_address(url), timeout=60)
        patient.ready()
        seed(service, patient, sizes)
        client = signed_in(service)
        print(f"{sizes[0]} readers, {sizes[1]} audit records, {sizes[2]} events; each page {TIMES} times")
        print("\n| page | median, ms | p95, ms | CPU, ms |\n|---|---|---|---|")
        slow = False
        for name, path in VIEWS:
            median, most, worked = measure(lambda path=path: client.get(f"/admin{path}").status_code)  # type: ignore[misc]  # binds the loop's path
            slow = slow or median >= 100
            print(f"| {name} | {median:.1f} | {most:.1f} | {worked:.1f} |")
        service.close()
        store.stop()
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
