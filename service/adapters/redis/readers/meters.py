"""Meters in the store: how counted stories are packed, and the two scripts that change them.

`lua/count_story.lua` describes the bytes of a meter. Meters of readers and visitors look alike; only a visitor's can join a
reader's. Both expire with their window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import cast

from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import meter_code, owner_mark, reader_hash, story_mark, visitor_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.domain.catalogue import MeterPolicy
from service.domain.meter import EMPTY_TALLY, MeterWindow, Tally, window_at

KIND = {"day": b"\x11", "week": b"\x12", "month": b"\x13", "rolling": b"\x14"}
"""The first byte of a meter: schema 1 in the high half, the window in the low half."""

COUNT = load("count_story")
JOIN = load("join_visitor")

_STAMP = Struct(">I")
_ENTRY = Struct(">8sI")


@dataclass(frozen=True, slots=True)
class MeterFrame:
    """A meter's policy at a moment, in the form that the scripts need.

    A calendar window computes it once, not once a request.
    """

    policy: MeterPolicy
    code: bytes
    kind: bytes
    window: MeterWindow
    start: int
    """The calendar window's start; of a rolling window the moment now."""
    expires: int
    fresh_until: float
    """Until when this frame may be used again."""


def frame_at(policy: MeterPolicy, now: float) -> MeterFrame:
    """Return the frame of `now` (epoch seconds). The frame of a rolling window is valid for one second."""
    code, kind = meter_code(policy.name), KIND[policy.window]
    window = window_at(policy, now)
    if policy.rolling:
        second = int(now)
        return MeterFrame(policy, code, kind, window, second, second + policy.length, second + 1)
    return MeterFrame(policy, code, kind, window, window.start, window.end, window.end)


def unpack(frame: MeterFrame, value: bytes | None) -> Tally:
    """Return what a stored meter counts in the frame; a meter of an earlier window or of another kind counts nothing."""
    if value is None or value[:1] != frame.kind:
        return EMPTY_TALLY
    (stamp,) = _STAMP.unpack_from(value, 1)
    joined = value[5] == 1
    first = 14 if joined else 6
    owner = value[6:14] if joined else None
    if not frame.policy.rolling:
        if stamp < frame.start:
            return EMPTY_TALLY
        return Tally(dict.fromkeys([value[at : at + 8] for at in range(first, len(value), 8)], 0), owner)
    length = frame.policy.length
    read = {mark: at for mark, at in _ENTRY.iter_unpack(value[first:]) if frame.start < at + length}
    return Tally(read, owner if frame.start < stamp + length else None)


def pack(frame: MeterFrame, read: Mapping[bytes, int]) -> bytes:
    """Return entries in the form in which the scripts join them."""
    if frame.policy.rolling:
        return b"".join(_ENTRY.pack(mark, at) for mark, at in read.items())
    return b"".join(read)


def count_for_reader(
    store: Store, frame: MeterFrame, reader: str, story: str, limit: int, joining: Mapping[bytes, int]
) -> tuple[bool, Tally]:
    """Count a story for a reader while the limit allows it, and join the visitor's stories.

    Returns whether the story was counted now, and the meter afterwards.
    """
    key = store.keys.reader_meter(reader_hash(reader), frame.code)
    return _count(store, frame, key, story, limit, pack(frame, joining))


def count_for_visitor(store: Store, frame: MeterFrame, visitor: str, story: str, limit: int) -> tuple[bool, Tally]:
    """Count a story for a visitor while the limit allows it. Returns whether it was counted now, and the meter afterwards."""
    return _count(store, frame, store.keys.visitor_meter(visitor_hash(visitor), frame.code), story, limit, b"")


def claim_and_count(
    store: Store, frame: MeterFrame, visitor: str, reader: str, story: str, limit: int
) -> tuple[bool, Tally]:
    """Claim a visitor who has read nothing for a reader, and count the reader's story, in one round trip.

    What the visitor reads meanwhile joins with the next request, like everything that they read later.
    """
    claimed = store.keys.visitor_meter(visitor_hash(visitor), frame.code)
    counted = store.keys.reader_meter(reader_hash(reader), frame.code)
    length = frame.policy.length
    join = (b"EVALSHA", JOIN.sha, 1, claimed, frame.kind, frame.start, owner_mark(reader), frame.expires, length)
    mark = story_mark(story)
    count = (b"EVALSHA", COUNT.sha, 1, counted, frame.kind, frame.start, limit, mark, b"", frame.expires, length)
    try:
        _, (verdict, value) = store.link.pipeline([(claimed, join), (counted, count)])
    except StoreError:
        # A restarted store does not know the scripts; `run` loads them.
        join_visitor(store, frame, visitor, reader)
        return count_for_reader(store, frame, reader, story, limit, {})
    return verdict == 1, unpack(frame, value)


def _count(store: Store, frame: MeterFrame, key: bytes, story: str, limit: int, joining: bytes) -> tuple[bool, Tally]:
    length = frame.policy.length
    arguments: list[bytes | int | str] = [
        frame.kind,
        frame.start,
        limit,
        story_mark(story),
        joining,
        frame.expires,
        length,
    ]
    verdict, value = cast("tuple[int, bytes]", store.link.run(COUNT, [key], arguments))
    return verdict == 1, unpack(frame, value)


def join_visitor(store: Store, frame: MeterFrame, visitor: str, reader: str) -> Tally | None:
    """Claim a visitor's stories for a reader. Returns the visitor's meter, or `None` if it has joined another reader.

    The claim comes before the union, so that a crash in between loses nothing: the next request finds the claim and joins.
    """
    key = store.keys.visitor_meter(visitor_hash(visitor), frame.code)
    arguments: list[bytes | int | str] = [
        frame.kind,
        frame.start,
        owner_mark(reader),
        frame.expires,
        frame.policy.length,
    ]
    mine, value = cast("tuple[int, bytes]", store.link.run(JOIN, [key], arguments))
    return unpack(frame, value) if mine else None
