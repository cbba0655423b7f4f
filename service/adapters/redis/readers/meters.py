"""Meters in the store: how counted stories are packed, and the two scripts that change them.

`lua/count_story.lua` describes the bytes of a meter. Meters of readers and visitors look alike; only a visitor's can join a
reader's. Both expire with their window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from service.adapters.redis.client.keys import Keys, meter_code, owner_mark, reader_hash, story_mark, visitor_hash
from service.adapters.redis.client.scripts import ScriptCall, load
from service.domain.catalogue import MeterPolicy
from service.domain.meter import EMPTY_TALLY, MeterWindow, Tally, window_at

KIND = {"day": b"\x11", "week": b"\x12", "month": b"\x13", "rolling": b"\x14"}
"""The first byte of a meter: schema 1 in the high half, the window in the low half."""

COUNT = load("count_story")
COUNTED = 1
"""The first part of its reply, if it counted the story. The second part is the meter afterwards."""
NOT_BARE = 4
"""The first part of its reply to `count_for_bare_reader` if there is more to look at: what there is follows the meter."""
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
    if owner is None or frame.start >= stamp + length:
        return Tally(read)
    return Tally(read, owner, stamp + length)


def pack(frame: MeterFrame, read: Mapping[bytes, int]) -> bytes:
    """Return entries in the form in which the scripts join them."""
    if frame.policy.rolling:
        return b"".join(_ENTRY.pack(mark, at) for mark, at in read.items())
    return b"".join(read)


def count_for_reader(
    keys: Keys, frame: MeterFrame, reader: str, story: str, limit: int, joining: Mapping[bytes, int]
) -> ScriptCall:
    """Return the call that counts a story for a reader while the limit allows it, and joins the visitor's stories."""
    return _count(frame, keys.reader_meter(reader_hash(reader), frame.code), story, limit, pack(frame, joining))


def count_for_bare_reader(keys: Keys, frame: MeterFrame, reader: str, visitor: str | None, story: str) -> ScriptCall:
    """Return the call that counts a story for a reader who has no record, with a visitor who has no stories to add.

    If they have, it returns the meter, the record, and the visitor's meter. With a visitor, its keys lie in two slots.
    """
    tag = reader_hash(reader)
    call = _count(frame, keys.reader_meter(tag, frame.code), story, frame.policy.readers, b"")
    if visitor is None:
        return call._replace(keys=(*call.keys, keys.reader(tag)))
    of_visitor = keys.visitor_meter(visitor_hash(visitor), frame.code)
    return call._replace(keys=(*call.keys, keys.reader(tag), of_visitor), args=(*call.args, owner_mark(reader)))


def count_for_visitor(keys: Keys, frame: MeterFrame, visitor: str, story: str, limit: int) -> ScriptCall:
    """Return the call that counts a story for a visitor while the limit allows it."""
    return _count(frame, keys.visitor_meter(visitor_hash(visitor), frame.code), story, limit, b"")


def _count(frame: MeterFrame, key: bytes, story: str, limit: int, joining: bytes) -> ScriptCall:
    arguments = (frame.kind, frame.start, limit, story_mark(story), joining, frame.expires, frame.policy.length)
    return ScriptCall(COUNT, (key,), arguments)


def join_visitor(keys: Keys, frame: MeterFrame, visitor: str, reader: str) -> ScriptCall:
    """Return the call that claims a visitor's stories for a reader.

    The claim comes before the union, so that a crash in between loses nothing: the next request finds the claim and joins.
    """
    key = keys.visitor_meter(visitor_hash(visitor), frame.code)
    arguments = (frame.kind, frame.start, owner_mark(reader), frame.expires, frame.policy.length)
    return ScriptCall(JOIN, (key,), arguments)


def joined(frame: MeterFrame, reply: Any) -> Tally | None:
    """Return the visitor's meter after `join_visitor`; `None` if it has joined another reader."""
    mine, value = reply
    return unpack(frame, value) if mine else None
