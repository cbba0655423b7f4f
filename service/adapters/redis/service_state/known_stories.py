"""What the site last said of each story, in two keys of one slot: a hash of descriptions, and a sorted set of moments.

A description is `[schema, section, tags, published at, parts, tier]`. With its ID and moment it takes about 230 bytes. The
stories that the site asked about last are kept, for 90 days. They hold nothing about readers.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters.batches import batched
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.catalogue import KnownStory, Story

REMEMBER = load("remember_stories")

SCHEMA = 1
KEPT = 90 * 86_400
"""Seconds for which a story is known after the site asked about it."""
WRITTEN_EVERY = 3_600
"""Seconds for which an unchanged story is not written again."""
MOST_STORIES = 100_000
"""The most stories kept, some 25 MB."""
_MOST_LISTED = 1_000
_BATCH = 50
"""Stories in one script: none runs long enough to delay a check."""


class KnownStories(StoreRecords):
    """Stores what the site said of stories. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, most: int = MOST_STORIES) -> None:
        super().__init__(store)
        self._keys = (self.keys.known_stories("described"), self.keys.known_stories("asked"))
        self._most = most

    def save(self, stories: Sequence[KnownStory], now: float) -> bool:
        """Store what is new. Return whether it was done: a store that is filling up takes no stories."""
        if self._link.memory_at(self._keys[0]).is_filling:
            return False
        for batch in batched(stories, _BATCH):
            arguments: list[bytes | str | int] = [f"{now:.3f}", WRITTEN_EVERY, KEPT, self._most]
            for known in batch:
                arguments += (known.story.id, f"{known.asked_at:.3f}", _description(known.story))
            self._link.run(REMEMBER, self._keys, arguments)
        return True

    def find(self, story_id: str, now: float) -> KnownStory | None:
        """Return what the site last said of a story; `None` if it did not ask about it within 90 days."""
        described, asked = self._keys
        member = story_id.encode()
        found, at = self._link.read([(described, (b"HGET", described, member)), (asked, (b"ZSCORE", asked, member))])
        if found is None or at is None or now >= float(at) + KEPT:
            return None
        schema, section, tags, published_at, parts, tier = decode_list(found)[:6]
        if schema != SCHEMA:
            return None
        return KnownStory(Story(story_id, section, tuple(tags), tier, published_at, tuple(parts)), int(float(at)))

    def list_asked_since(self, moment: float) -> list[tuple[str, float]]:
        """Return stories that the site asked about since then (epoch seconds), and when: the newest 1,000 that were written."""
        limits = (b"+inf", b"(%.3f" % moment, b"WITHSCORES", b"LIMIT", b"0", b"%d" % _MOST_LISTED)
        found = iter(self._read_one(b"ZREVRANGEBYSCORE", self._keys[1], *limits))
        return [(story.decode(), float(at)) for story, at in zip(found, found, strict=True)]


def _description(story: Story) -> bytes:
    return encode_json([SCHEMA, story.section, story.tags, story.published_at, story.parts, story.tier])
