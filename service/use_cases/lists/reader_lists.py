"""Lists of readers and of grants: the index finds them, and each one shown is read from the reader's own records.

So a list shows nothing that is not so, and what has changed within the last second can be missing from it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import TypeVar

from service.adapters.redis.client.keys import INDEX_PARTITIONS, reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.partition import LAST_MOMENT, NEVER, GrantOrigin, GrantPlace, StateKey
from service.adapters.redis.reader_index.reader_index import ReaderIndex, index_partition_of
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.coordination import LeaderElection
from service.domain.catalogue import Catalogue
from service.domain.errors import ListsNotReady
from service.domain.reader_states import ReaderState
from service.domain.sources import Grant
from service.use_cases.lists.index_updates import TURN, IndexTask, IndexUpdates, state_of

MOST_BY_END = 101
"""Readers by their ends that a page needs at most, with the first of the next page."""
BUILD_PATIENCE = 2.0
"""Seconds for which a request builds a missing index itself; a large one is left to the background."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ReaderFilter:
    """What is asked of the readers listed; `None`: anything. `source` is a type, `ends_before` in epoch seconds."""

    prefix: str | None = None
    plan: str | None = None
    source: str | None = None
    standing: str | None = None
    ends_before: float | None = None
    access: bool | None = None

    def accepts(self, state: StateKey) -> bool:
        """Return whether a reader in this state matches, whatever the ID and the end."""
        return (
            self.plan in (None, *state.plans)
            and self.source in (None, *state.sources)
            and self.standing in (None, state.standing)
            and self.access in (None, state.access)
        )


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """What is asked of the grants listed; `None`: anything. `ends_before` is in epoch seconds."""

    plan: str | None = None
    actor: str | None = None
    status: str | None = None
    ends_before: float | None = None
    import_id: str | None = None
    reader: str | None = None
    prefix: str | None = None

    def accepts(self, origin: GrantOrigin) -> bool:
        """Return whether a grant of this origin matches, whatever its times."""
        return (
            self.plan in (None, origin.plan)
            and self.actor in (None, origin.actor)
            and self.import_id in (None, origin.import_id)
            and (self.status is None or (self.status == "revoked") == origin.revoked)
        )

    def in_time(self, now: float) -> Callable[[bool, int, int], bool]:
        """Return a function of whether a grant is revoked, its start and its end: whether it matches by its times."""
        before, status = NEVER if self.ends_before is None else min(self.ends_before, NEVER), self.status

        def matches(revoked: bool, start: int, end: int) -> bool:
            if self.ends_before is not None and end >= before:
                return False
            if status is None or revoked:
                return True
            return status == ("expired" if now >= end else "scheduled" if now < start else "active")

        return matches


@dataclass(frozen=True, slots=True)
class ListedReader:
    """A reader in the list; `changed_at` is when their sources last changed, also by themselves (epoch seconds)."""

    reader: str
    state: ReaderState
    customers: Sequence[str]
    changed_at: int | None


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A grant in the list, with its reader."""

    reader: str
    grant: Grant


class ReaderLists:
    """Answers lists. Raises: StoreUnavailable, and ListsNotReady while the index is built for the first time."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        readers: Readers,
        clock: Callable[[], float],
        *,
        report: Callable[[str, str], None],
    ) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._index = ReaderIndex(store)
        self.updates = IndexUpdates(catalogue, store, readers, clock)
        self.task = IndexTask(self.updates, LeaderElection(store, TURN, "index-turn"), report)
        self._clock = clock

    def find_readers(
        self, wanted: ReaderFilter, limit: int, after: str | None = None, *, by_end: bool = False
    ) -> tuple[list[ListedReader], str | None]:
        """Return a page of the readers who match, by ID or by their ends, and the place behind which the next page begins."""
        self._require_index()
        found = self._readers_by_end(wanted, after) if by_end else self._readers_by_id(wanted, after)
        page, last = _first_of(found, limit)
        following = None
        if last is not None:
            end, name = last
            following = f"{end} {name.decode()}" if by_end else name.decode()
        return self._show_readers([name.decode() for _, name in page], wanted), following

    def _readers_by_id(self, wanted: ReaderFilter, after: str | None) -> Iterator[tuple[int, bytes]]:
        prefix, behind = (wanted.prefix or "").encode(), (after or "").encode()
        parts = [
            part.find_readers(wanted.accepts, prefix=prefix, after=behind, ends_before=wanted.ends_before)
            for part in self._index.load_partitions()
        ]
        # Each partition is sorted, and filtered only as far as the page needs.
        return heapq.merge(*parts, key=itemgetter(1))

    def _readers_by_end(self, wanted: ReaderFilter, after: str | None) -> Iterator[tuple[int, bytes]]:
        end, _, name = (after or "-1 ").partition(" ")
        prefix, behind = (wanted.prefix or "").encode(), (int(end), name.encode())
        parts = (
            part.find_readers(wanted.accepts, prefix=prefix, ends_before=wanted.ends_before)
            for part in self._index.load_partitions()
        )
        return iter(heapq.nsmallest(MOST_BY_END, (place for part in parts for place in part if place > behind)))

    def _show_readers(self, names: Sequence[str], wanted: ReaderFilter) -> list[ListedReader]:
        now, shown = self._clock(), []
        for name, details in zip(names, self._readers.load_details(names), strict=True):
            state = state_of(details.sources, self._catalogue, now)
            if state is None or not _still_matches(wanted, state):
                continue
            changes = [moment for moment in (details.changed_at, state.last_change) if moment is not None]
            shown.append(ListedReader(name, state, details.customers, max(changes, default=None)))
        return shown

    def find_ending_grants(
        self, wanted: GrantFilter, limit: int, after: str | None = None
    ) -> tuple[list[ListedGrant], str | None]:
        """Return a page of the grants that match, the first to end first, and the place behind which the next page begins."""
        end, _, grant_id = (after or "-1 ").partition(" ")
        behind = (int(end), grant_id.encode())
        found = (((place.end, place.id), place) for part in self._matching(wanted) for place in part)
        page, last = _first_of(heapq.nsmallest(limit + 1, (pair for pair in found if pair[0] > behind)), limit)
        following = f"{last[1].end} {last[1].id.decode()}" if last is not None else None
        return self._show_grants([place for _, place in page], wanted), following

    def find_grants(
        self, wanted: GrantFilter, limit: int, after: str | None = None
    ) -> tuple[list[ListedGrant], str | None]:
        """Return a page of the grants that match, the newest first, and the place behind which the next page begins."""
        before = None
        if after is not None:
            created, _, grant_id = after.partition(" ")
            before = GrantPlace(int(created), grant_id.encode())
        page, last = _first_of(heapq.merge(*self._matching(wanted, before), reverse=True), limit)
        following = f"{last.created_at} {last.id.decode()}" if last is not None else None
        return self._show_grants(page, wanted), following

    def select_grants(self, wanted: GrantFilter, ids: Collection[str] | None = None) -> list[tuple[str, str]]:
        """Return all grants that match, each with its reader; of these IDs only, if some are given."""
        chosen = None if ids is None else {name.encode() for name in ids}
        places = [place for part in self._matching(wanted) for place in part if chosen is None or place.id in chosen]
        if (wanted.ends_before or 0) > LAST_MOMENT:  # The index holds no later end exactly.
            return [(one.grant.id, one.reader) for one in self._show_grants(places, wanted)]
        return [(place.id.decode(), place.reader.decode()) for place in places]

    def _matching(self, wanted: GrantFilter, before: GrantPlace | None = None) -> Iterator[Iterator[GrantPlace]]:
        """Yield, of each partition, the grants that match and stand behind `before`, the newest first."""
        self._require_index()
        reader = None if wanted.reader is None else self._readers.resolve_merged(wanted.reader)
        numbers = range(INDEX_PARTITIONS) if reader is None else [index_partition_of(reader)]
        holder, prefix = None if reader is None else reader.encode(), (wanted.prefix or "").encode()
        in_time = wanted.in_time(self._clock())
        for part in self._index.load_partitions(numbers):
            yield part.find_grants(wanted.accepts, in_time, before=before, reader=holder, prefix=prefix)

    def _show_grants(self, places: Sequence[GrantPlace], wanted: GrantFilter) -> list[ListedGrant]:
        now, names = self._clock(), [place.reader.decode() for place in places]
        grants = self._readers.find_grants(
            [(reader_hash(name), place.id) for name, place in zip(names, places, strict=True)]
        )
        return [
            ListedGrant(name, grant)
            for name, grant in zip(names, grants, strict=True)
            if grant is not None
            and wanted.status in (None, grant.status_at(now))
            and _ends_in_time(wanted, grant.until)
        ]

    def prepare(self) -> None:
        """Bring the index up to date, as a command does that has no background."""
        if not self.updates.is_built():
            self.updates.rebuild()
        self.updates.settle()

    def _require_index(self) -> None:
        if self.updates.is_built():
            return
        until = time.monotonic() + BUILD_PATIENCE

        def step() -> None:
            if time.monotonic() > until:
                raise ListsNotReady

        self.updates.rebuild(step)


def _first_of(found: Iterable[Item], limit: int) -> tuple[list[Item], Item | None]:
    """Return the first items, and the last of them if more follow."""
    chosen = list(islice(found, limit + 1))
    return chosen[:limit], chosen[limit - 1] if len(chosen) > limit else None


def _still_matches(wanted: ReaderFilter, state: ReaderState) -> bool:
    key = StateKey(state.access, state.plans, state.sources, state.standing.value)
    return _ends_in_time(wanted, state.until) and wanted.accepts(key)


def _ends_in_time(wanted: ReaderFilter | GrantFilter, until: int | None) -> bool:
    return wanted.ends_before is None or (until is not None and until < wanted.ends_before)
