"""Memory of a visitor and of a reader in the embedded store: `python -m bench.memory [count]`.

A visitor has read five metered stories in a calendar month. A reader has one subscription, with IDs as long as Stripe's.
The figure includes keys and expiry: it is the growth of the store's `used_memory`, divided by `count`.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys, reader_hash, story_mark, visitor_hash
from service.adapters.redis.client.link import Link
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.readers import meters, source_codec
from service.domain.sources import Item, Subscription
from service.settings.settings import load_settings

CHUNK = 2_000


def used(link: Link) -> int:
    """Return the bytes that the store uses."""
    ((_, info),) = link.each_master(b"INFO", b"memory")
    return int(dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)[b"used_memory"])


def visitors(link: Link, keys: Keys, count: int) -> None:
    """Write `count` visitors who have read five stories each, in the form in which the Lua script stores them."""
    policy = load_settings({}).catalogue.meters["stories"]
    frame = meters.frame_at(policy, time.time())
    read = {story_mark(f"story-{number}"): 0 for number in range(5)}
    for start in range(0, count, CHUNK):
        commands = []
        for number in range(start, min(start + CHUNK, count)):
            key = keys.visitor_meter(visitor_hash(f"v-{number}"), frame.code)
            arguments = (frame.kind, frame.start, 10, story_mark("story-0"), meters.pack(frame, read))
            commands.append((key, (b"EVALSHA", meters.COUNT.sha, 1, key, *arguments, frame.expires, 0)))
        link.pipeline(commands)


def readers(link: Link, keys: Keys, count: int) -> None:
    """Write `count` readers with one active subscription each."""
    now = int(time.time())
    for start in range(0, count, CHUNK):
        commands = []
        for number in range(start, min(start + CHUNK, count)):
            item = Item(f"price_{secrets.token_hex(12)}", None, "prod_NQw0OYJDCqVuRS", 1, now, now + 2_592_000)
            source = Subscription(f"sub_{secrets.token_hex(12)}", "active", (item,), now)
            key = keys.reader(reader_hash(f"r-{number}"))
            commands.append((key, (b"HSET", key, source_codec.field_of(source), source_codec.encode(source, 12))))
        link.pipeline(commands)


def main() -> None:
    """Print the bytes of a visitor and of a reader."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        link = Link(parse_address(store.start()), timeout=30)
        link.ready()
        keys = Keys("pw")
        print(f"{count} of each; bytes for one, with keys and expiry")
        for name, write in (("visitor, five stories read", visitors), ("reader, one subscription", readers)):
            before = used(link)
            write(link, keys, count)
            print(f"{name}: {(used(link) - before) / count:.1f}")
        link.close()
        store.stop()


if __name__ == "__main__":
    main()
