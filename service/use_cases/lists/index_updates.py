"""Keep the index of readers and grants up to date, and build it anew.

A row is computed from the reader's records at the present moment, so it can be repeated and needs no order. The index is out
of date when a reader was written, when a reader changes by themselves, and when the policy has changed: the plan of a price
is not stored. It is built anew once a day as well: a process of an earlier release marks no reader as changed. Of all
processes, the one that holds the turn does this in a thread.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from service.adapters.background_thread import BackgroundThread
from service.adapters.batches import batched
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.index_rebuild import ReaderIdSearch
from service.adapters.redis.reader_index.partition import (
    GrantOrigin,
    IndexedGrant,
    IndexedReader,
    StateKey,
    pack_partition,
)
from service.adapters.redis.reader_index.reader_index import IndexState, MarkKind, ReaderIndex, index_partition_of
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.coordination import LeaderElection
from service.domain.catalogue import DAY, Catalogue
from service.domain.errors import StoreUnavailable
from service.domain.reader_states import ReaderState, summarize_holdings
from service.domain.sources import Grant, Source

READERS_A_READ = 500
"""Readers whose records are read together."""
PARTITIONS_A_STEP = 16
"""Partitions that are written together, of 100,000 readers about 3,000."""
MARKS_A_STEP = 100_000
"""Readers that are indexed together: a partition costs the same for one of them and for many."""
_TRIES = 50
ROUND = 0.7
"""Seconds between two rounds: the contract allows two from a change until it is listed."""
TURN = 1.0
"""Seconds after which the turn of a dead process expires."""
LONG_IMPORT = 10.0
"""Seconds after which the readers of an import are indexed although it goes on."""


@dataclass(frozen=True, slots=True)
class IndexComparison:
    """How many readers of a sample were compared with the index, and which differ."""

    compared: int
    differing: Sequence[str]
    unnamed: int
    """Readers who are not in the index because no record holds their ID."""


@dataclass(frozen=True, slots=True)
class IndexSize:
    """How many readers are in the index, and how many are not because no record holds their ID."""

    readers: int
    unnamed: int


class IndexUpdates:
    """Updates the index. Raises: StoreUnavailable from every method; a call can be repeated after a failure."""

    def __init__(self, catalogue: Catalogue, store: Store, readers: Readers, clock: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._index = ReaderIndex(store)
        self._search = ReaderIdSearch(store, self._index)
        self._clock = clock

    # What has changed.

    def count_imported(self) -> int:
        """Return how many readers an import has changed since they were indexed."""
        return self._index.count_imported()

    def settle(self, step: Callable[[], None] = lambda: None, *, imported: bool = True) -> None:
        """Index the readers who were written or have changed by themselves. `step` as in `rebuild`.

        `imported`: also those whom an import has changed.
        """
        kinds: tuple[MarkKind, ...] = ("imported", "changed") if imported else ("changed",)
        for kind in kinds:
            while marks := self._index.list_marked(kind, MARKS_A_STEP):
                self.refresh({mark.reader for mark in marks}, step)
                self._index.remove_marked(kind, marks)
        if announced := self._index.list_announced():
            self.refresh({mark.reader for mark in announced}, step)
            self._index.remove_announced(announced)
        now = self._clock()
        due = self._index.list_due_partitions(now)
        self.refresh([name for part in self._index.load_partitions(due) for name in part.due_readers(now)], step)

    def remove(self, readers: Sequence[str]) -> None:
        """Remove erased readers, and their marks."""
        self.refresh(readers)
        self._index.remove_marks(readers)

    def refresh(self, readers: Iterable[str], step: Callable[[], None] = lambda: None) -> None:
        """Index these readers as their records are now, and remove those who hold nothing or were merged or erased."""
        by_partition: dict[int, list[str]] = defaultdict(list)
        for reader in readers:
            by_partition[index_partition_of(reader)].append(reader)
        for numbers in batched(sorted(by_partition), PARTITIONS_A_STEP):
            self._refresh_partitions({number: by_partition[number] for number in numbers})
            step()

    def _refresh_partitions(self, due: dict[int, list[str]]) -> None:
        for _ in range(_TRIES):
            # A partition is read before the records: whoever replaces it later has read them later, too.
            parts = dict(zip(due, self._index.load_partitions(list(due)), strict=True))
            rows = self.compute_rows([reader for readers in due.values() for reader in readers])
            packed: dict[int, tuple[bytes, bytes]] = {}
            for number, part in parts.items():
                merged = part.rows() | {reader: rows[reader] for reader in due[number]}
                kept = {name: row for name, row in merged.items() if row is not None}
                packed[number] = part.revision, pack_partition(kept)
            replaced = self._index.replace_partitions(packed)
            due = {number: readers for number, readers in due.items() if number not in replaced}
            if not due:
                return
        raise StoreUnavailable("busy", "other processes replace the same partitions of the index all the time")

    def compute_rows(self, readers: Sequence[str]) -> dict[str, IndexedReader | None]:
        """Return the rows of these readers, as their records are now; `None` for those who are not listed."""
        now, rows = self._clock(), dict[str, IndexedReader | None]()
        for some in batched(readers, READERS_A_READ):
            for reader, sources in zip(some, self._readers.load_many(some), strict=True):
                rows[reader] = self._row(sources, now)
        return rows

    def _row(self, sources: Sequence[Source], now: float) -> IndexedReader | None:
        state = state_of(sources, self._catalogue, now)
        if state is None:
            return None
        key = StateKey(state.access, state.plans, state.sources, state.standing.value)
        grants = tuple(_indexed_grant(source) for source in sources if isinstance(source, Grant))
        return IndexedReader(key, state.until, state.next_change, grants)

    # The whole index.

    def is_built(self) -> bool:
        """Return whether the index exists, for whatever policy."""
        return self._index.load_state() is not None

    def is_due(self, *, compare_policy: bool) -> bool:
        """Return whether the index is missing or a day old, or was built for another policy than that of this process."""
        state = self._index.load_state()
        if state is None or self._clock() - state.built_at >= DAY:
            return True
        return compare_policy and state.policy != self._catalogue.revision

    def rebuild(self, step: Callable[[], None] = lambda: None) -> IndexSize:
        """Build the index anew beside a running service.

        `step` is called between two parts, and can end the work by an exception.
        """
        names: set[str] = set()
        unnamed: list[bytes] = []
        for found, without in self._search.iterate_readers():
            names.update(found)
            unnamed += without
            step()
        if unnamed:
            names.update(self._search.name_readers(unnamed))
        indexed = (name for part in self._index.load_partitions() for name in part.reader_ids())
        self.refresh({*names, *indexed}, step)
        left = self._search.count_unnamed(unnamed)
        self._index.save_state(IndexState(self._catalogue.revision, int(self._clock()), left))
        return IndexSize(sum(len(part.reader_ids()) for part in self._index.load_partitions()), left)

    def compare_sample(self, size: int) -> IndexComparison:
        """Compare the index with the records of some readers, the first that the store names."""
        self.settle()
        names = list(islice((name for names, _ in self._search.iterate_readers() for name in names), size))
        rows = self.compute_rows(names)
        by_number = {index_partition_of(name) for name in names}
        indexed = {
            name: row for part in self._index.load_partitions(sorted(by_number)) for name, row in part.rows().items()
        }
        differing = [name for name in names if not _same(rows[name], indexed.get(name))]
        state = self._index.load_state()
        return IndexComparison(len(names), differing, state.unnamed if state is not None else 0)


class _Stopped(Exception):
    """The process ends; another one builds the index."""


class IndexTask(BackgroundThread):
    """One per process. It also builds the index where it is missing, old, or of another policy."""

    def __init__(self, updates: IndexUpdates, turn: LeaderElection, report: Callable[[str, str], None]) -> None:
        super().__init__("reader-index", self._round)
        self._updates = updates
        self._turn = turn
        self._report = report
        self._next_settling = 0.0
        self._policy_compared = False
        self._imported = 0
        self._imported_since = time.monotonic()

    def _round(self) -> float:
        try:
            if self._turn.acquire():
                self._update()
        except (StoreUnavailable, _Stopped):
            pass  # The next round, or another process, repeats what was not finished.
        except Exception as error:  # A failed round must not end the thread.
            self._report("index_failed", type(error).__name__)
        return ROUND

    def _update(self) -> None:
        if self._updates.is_due(compare_policy=not self._policy_compared):
            self._updates.rebuild(self._between_steps)
        # Later on another policy is that of a process that started later, and has built the index for its own.
        self._policy_compared = True
        self._updates.settle(self._keep_turn, imported=self._import_pauses())

    def _import_pauses(self) -> bool:
        """Return whether no import has changed readers since the last round, or one goes on for long.

        Each round that indexes them writes most partitions of the index.
        """
        before, self._imported = self._imported, self._updates.count_imported()
        now = time.monotonic()
        if self._imported <= before or now - self._imported_since >= LONG_IMPORT:
            self._imported, self._imported_since = 0, now
            return True
        return False

    def _keep_turn(self) -> None:
        if self.is_stopping:
            raise _Stopped
        self._turn.acquire()

    def _between_steps(self) -> None:
        """Index what changes while the index is built."""
        self._keep_turn()
        if time.monotonic() >= self._next_settling:
            self._updates.settle(self._keep_turn, imported=False)
            self._next_settling = time.monotonic() + ROUND


def state_of(sources: Sequence[Source], catalogue: Catalogue, now: float) -> ReaderState | None:
    """Return the state of a reader with these sources, `None` for none."""
    holdings = [holding for source in sources for holding in source.holdings(catalogue)]
    return summarize_holdings(holdings, now) if holdings else None


def _indexed_grant(grant: Grant) -> IndexedGrant:
    origin = GrantOrigin(grant.plan, grant.actor, grant.import_id, grant.revoked_at is not None)
    return IndexedGrant(grant.id, origin, grant.created_at, grant.start, grant.until)


def _same(row: IndexedReader | None, indexed: IndexedReader | None) -> bool:
    """Return whether two rows say the same; the index cannot hold some moments exactly."""
    return pack_partition({"": row} if row else {})[8:] == pack_partition({"": indexed} if indexed else {})[8:]
