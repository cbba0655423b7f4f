"""Memory a visitor and a reader in the embedded store: `python -m bench.memory [how many]`.

A visitor has read five metered stories of a calendar month; a reader has one subscription, with ids as long as Stripe's.
Keys and expiry are included: it is the store's own `used_memory`, before and after, divided by how many there are.
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
    """Bytes that the store uses for everything."""
    ((_, info),) = link.each_master(b"INFO", b"memory")
    return int(dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)[b"used_memory"])


def visitors(link: Link, keys: Keys, count: int) -> None:
    """Writes `count` visitors who have read five stories each, as the script leaves them."""
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
    """Writes `count` readers with one active subscription each."""
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
    """Prints bytes a visitor and a reader."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        link = Link(parse_address(store.start()), timeout=30)
        link.ready()
        keys = Keys("pw")
        print(f"{count} of each; bytes a piece, keys and expiry included")
        for name, write in (("visitor, five stories read", visitors), ("reader, one subscription", readers)):
            before = used(link)
            write(link, keys, count)
            print(f"{name}: {(used(link) - before) / count:.1f}")
        link.close()
        store.stop()


if __name__ == "__main__":
    main()
