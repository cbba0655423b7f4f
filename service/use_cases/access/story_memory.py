"""Remember what the site says of stories, off the path of a check: staff and `paywall explain` use it.

A check only compares the story with what this process noted last, and appends a new or changed one to a queue. A
background task empties the queue into the store. It also looks there for stories that other processes wrote: what this
process noted of them before is forgotten, so that its next question about them is new. Each story is noted again after a
minute; the store writes an unchanged one at most once an hour.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from service.adapters.redis.client.store import Store
from service.adapters.redis.service_state.known_stories import KnownStories
from service.domain.catalogue import KnownStory, Story
from service.domain.errors import StoreUnavailable
from service.use_cases.background_tasks import BackgroundTasks

WRITE_EVERY = 0.1
"""Seconds between two looks at the queue and the store."""
LATEST = 1.0
"""Seconds after which a question is written, and by which clocks of processes may differ."""
NOTED_FOR = 60.0
"""Seconds for which a story that did not change is not noted again."""
MOST_NOTED = 20_000
"""The most stories that a process has noted at a time; the oldest ones are noted again."""
MOST_BYTES = 10 * 2**20
"""About the most memory that they take."""


class StoryMemory:
    """The stories that this process was asked about lately; threads share it.

    The access route uses `said` and `asked` itself: `said[story.id] = story` with `asked.append(story)`.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float], most: int = MOST_NOTED, most_bytes: int = MOST_BYTES
    ) -> None:
        self.said: dict[str, Story] = {}
        """Story ID → what the site said last, in this process."""
        self.asked: deque[Story] = deque(maxlen=2 * most)
        """What was new to `said`, in the order of the questions. An append is atomic; a full queue drops its oldest."""
        self._records = KnownStories(store)
        self._writer = BackgroundTasks([self.write_noted], every=WRITE_EVERY)
        self._clock = clock
        self._most = most
        self._most_bytes, self._bytes = most_bytes, 0
        self._lock = threading.Lock()
        self._noted: OrderedDict[str, KnownStory] = OrderedDict()
        self._unwritten: OrderedDict[str, KnownStory] = OrderedDict()

    def start(self) -> None:
        """Start to write in the background. Call it once a process, after the fork."""
        self._writer.start()

    def close(self) -> None:
        """Write what was noted, if the store is available, and end."""
        self._writer.stop()
        with suppress(StoreUnavailable):
            self.write_noted()

    def note(self, stories: Iterable[Story]) -> None:
        """Note stories that the site asks about."""
        for story in stories:
            if self.said.get(story.id) != story:
                self.said[story.id] = story
                self.asked.append(story)

    def write_noted(self) -> None:
        """Write what was noted since the last call. Raises: StoreUnavailable; the next call then writes it."""
        with self._lock:
            now = self._clock()
            for _ in range(len(self.asked)):
                story = self.asked.popleft()
                noted = self._noted.get(story.id)
                if noted is None or noted.story != story:
                    self._drop(story.id)
                    self._noted[story.id] = self._unwritten[story.id] = KnownStory(story, int(now * 1000) / 1000)
                    self._bytes += _size(story)
            self._forget(now)
            if self._unwritten and self._records.save(list(self._unwritten.values()), now):
                self._unwritten.clear()
            self._forget_overwritten(now)

    def find(self, story_id: str, now: float) -> KnownStory | None:
        """Return what the site last said of a story; `None` if it did not ask within 90 days. Raises: StoreUnavailable."""
        self.write_noted()
        return self._records.find(story_id, now)

    def _forget_overwritten(self, now: float) -> None:
        """Forget what another process knows better, because the site asked it later."""
        if self._noted:
            for name, asked_at in self._records.list_asked_since(now - LATEST):
                noted = self._noted.get(name)
                if noted is not None and asked_at > noted.asked_at:
                    self._drop(name)
                    self.said.pop(name, None)

    def _forget(self, now: float) -> None:
        """Forget what was noted too long ago, or by a clock that was ahead, or is more than a process keeps."""
        while self._noted:
            name, oldest = next(iter(self._noted.items()))
            few = len(self._noted) <= self._most and self._bytes <= self._most_bytes
            if few and (name in self._unwritten or 0 <= now - oldest.asked_at < NOTED_FOR):
                break
            self._drop(name)
            self._unwritten.pop(name, None)
            self.said.pop(name, None)

    def _drop(self, story_id: str) -> None:
        noted = self._noted.pop(story_id, None)
        if noted is not None:
            self._bytes -= _size(noted.story)


def _size(story: Story) -> int:
    """Return about how many bytes of memory a story takes."""
    words = (story.id, *story.tags, *story.parts)
    return 500 + sum(60 + len(word) for word in words)
