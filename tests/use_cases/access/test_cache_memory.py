"""Test that the caches of a web process are bounded by bytes, whatever IDs, records and user agents arrive."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from itertools import chain

import pytest

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.keys import owner_mark, partition_of, reader_hash, story_mark, visitor_hash
from service.adapters.redis.readers import source_codec
from service.domain.bots import is_bot
from service.domain.catalogue import Catalogue
from service.domain.decision import NO_ENTITLEMENTS, Decision
from service.domain.sources import Grant, Reason
from service.domain.times import utc
from service.entrypoints.http.access_route import remembered_id, remembered_reader
from service.use_cases.access.check_memory import (
    MOST_REMEMBERED,
    DecisionMemory,
    EntitlementCache,
    interned,
)

MB = 2**20
NOW = 1_796_000_000
MANY = 20_000


def growth(fill: Callable[[], None]) -> float:
    """Return by how many MB the memory has grown."""
    gc.collect()
    tracemalloc.start()
    try:
        fill()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / MB
    finally:
        tracemalloc.stop()


def longest_id(number: int) -> str:
    """Return an ID of 128 bytes that takes the most memory: one wide character makes all others as wide."""
    return f"😀{number:0124}"


def test_caches_of_ids_are_bounded() -> None:
    def fill() -> None:
        for number in range(MANY):
            name = longest_id(number)
            for remembering in (
                remembered_id,
                remembered_reader,
                reader_hash,
                visitor_hash,
                story_mark,
                owner_mark,
                partition_of,
            ):
                remembering(name)
            partition_of(name)

    assert growth(fill) < 16


def record(reader: int, sources: int) -> list[bytes]:
    """Return the HGETALL reply of a reader with so many grants."""
    grants = (
        Grant(f"g{reader}-{number}", "vip", (), f"press card {reader}", NOW, NOW + 9_999 + number, "ann", NOW)
        for number in range(sources)
    )
    return list(chain.from_iterable((source_codec.field_of(g), source_codec.encode(g, 1)) for g in grants))


@pytest.mark.parametrize(("readers", "sources"), [(5_000, 1), (20, 300)])
def test_caches_of_entitlements_are_bounded_by_the_size_of_records(
    catalogue: Catalogue, readers: int, sources: int
) -> None:
    cache = EntitlementCache(catalogue, most_bytes=MB)

    def fill() -> None:
        for reader in range(readers):
            cache.entitlements_in(record(reader, sources), NOW)
        source_codec.decode.cache_clear()

    assert growth(fill) < 2.5, "two caches, of entitlements and of holdings"


def test_shared_decisions_are_bounded(catalogue: Catalogue) -> None:
    memory = DecisionMemory(catalogue)
    decision = Decision("upsell", Reason.METER_USED_UP, "metered", ())

    def fill() -> None:
        for number in range(MOST_REMEMBERED):
            key = number, "metered", ("facts", "notebook"), b"%0100d" % number
            shared = memory.remember(key, decision, NO_ENTITLEMENTS, 0, NOW)
            assert shared is not None
            shared.sealed, shared.body = b"%0200d" % number, (None, b"%0500d" % number)  # as of a subscriber

    assert growth(fill) < 16


def test_decisions_written_alike_share_their_bytes() -> None:
    def fill() -> None:
        kept.extend(interned(bytes(2_500)) for _ in range(MANY))

    kept: list[bytes] = []
    assert growth(fill) < 1


def test_cache_of_sources_is_bounded() -> None:
    def fill() -> None:
        for number in range(12_000):
            source_codec.decode(*record(number, 1))

    assert growth(fill) < 5


def test_caches_of_user_agents_and_times_are_bounded() -> None:
    def fill() -> None:
        for number in range(500):
            is_bot(f"{number} " + "x" * 16_000)
        for second in range(MANY):
            utc(NOW + second)

    assert growth(fill) < 3


def test_recently_written_entitlements_are_bounded(tmp_path_factory: pytest.TempPathFactory) -> None:
    known = RecentEntitlements(tmp_path_factory.mktemp("known"), 86_400, clock=lambda: NOW)

    def fill() -> None:
        for part in range(3):
            for number in range(10_000):
                known.note(b"%022d" % (part * 10_000 + number), (("notebook", NOW + number),), NOW)
            known.close()

    assert growth(fill) < 6
