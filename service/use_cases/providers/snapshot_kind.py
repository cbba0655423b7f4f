"""The kind of import `snapshot`: a provider's whole set. What differs from the set so far is applied, and the rest ends.

The number is drawn before the plan is made. Reports with higher numbers came later, and stand. So each write can be repeated,
and a report that arrives while a snapshot is applied wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from service.adapters.batches import batched
from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.imports.import_store import ImportSourceWriter, SourceWrite
from service.adapters.redis.providers.provider_sources import (
    PARTITIONS_A_READ,
    ProviderSource,
    ProviderSources,
    entry_of,
)
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.domain.errors import LargestDrop
from service.domain.sources import External
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import (
    ImportChunk,
    ImportKind,
    LeaseLost,
    PlanContext,
    PlannedLine,
    SecondAdminRule,
)
from service.use_cases.imports.pacing import Pace, retry_while_unavailable
from service.use_cases.providers.external_sources import gives_less
from service.use_cases.providers.snapshot_file import SnapshotEntry

SNAPSHOT = "snapshot"
_BATCH = 250
_TRIES = 50


class SnapshotRow(msgspec.Struct, array_like=True):
    """What a snapshot says of one subscription. `runs`: it runs so far; `ends`: it does, and afterwards it does not."""

    id: str
    action: Literal["new", "changed", "ended", "unchanged", "skipped"]
    """It is skipped if the reader was erased, or a newer report stands."""
    number: int
    reader: str | None
    """The ID in the file; `None` if the subscription is missing from it, and when the row is done."""
    plan: str
    until: int | None
    start: int
    runs: bool
    ends: bool


@dataclass
class SnapshotDrop(SecondAdminRule):
    """Counts how many of a provider's running subscriptions a snapshot would end."""

    running: int = field(default=0, init=False)
    ending: int = field(default=0, init=False)

    def add(self, row: SnapshotRow) -> None:
        self.running += row.runs
        self.ending += row.ends

    def refusal(self, share: float) -> LargestDrop | None:
        """Return the refusal of a snapshot that would end more than this share of the running subscriptions."""
        exceeds = self.ending > share * self.running + 1e-9  # 0.29 * 100 is less than 29.
        return LargestDrop(self.ending, self.running, share) if exceeds else None


class SnapshotOwner(NamedTuple):
    """The reader to whom a row gives its subscription, and the hash of the one who had it, both after merges."""

    tag: bytes
    reader: str
    former: bytes | None
    is_erased: bool = False


class SnapshotChange(NamedTuple):
    """What a row changes: the source as it is to be, and as it was (`None`: there was none)."""

    row: SnapshotRow
    source: External
    owner: SnapshotOwner
    before: External | None

    @property
    def loser(self) -> bytes | None:
        """Return the hash of the reader who had the source, if it goes to another one."""
        return self.owner.former if self.owner.former != self.owner.tag else None


@dataclass(frozen=True)
class ProviderSnapshots(ImportKind[SnapshotEntry, SnapshotRow]):
    """Snapshots of providers; `about` names the provider."""

    sources: ProviderSources
    writer: ImportSourceWriter
    erased: ErasedReaders
    index: ReaderIndex
    known: RecentEntitlements
    pace: Pace

    name = SNAPSHOT
    row_type = SnapshotRow
    results = ("new", "changed", "ended", "unchanged")
    only_counted = frozenset({"unchanged", "skipped"})
    can_undo = False

    # Planning.

    def plan(self, sheet: ImportSheet[SnapshotEntry], context: PlanContext) -> Iterator[PlannedLine[SnapshotRow]]:
        """Yield the row of each entry, and of each running subscription that the file lacks; a partition at a time."""
        provider, now = context.about["provider"], int(context.now)
        number = self.sources.next_number(provider) if context.import_id else 0
        loaded: list[dict[str, ProviderSource]] = []
        for partition, entries in enumerate(sheet.batches()):
            if not loaded:
                numbers = range(partition, partition + PARTITIONS_A_READ)
                loaded = retry_while_unavailable(partial(self.sources.load_partitions, provider, numbers))
            stored = loaded.pop(0)
            readers = {entry.id: entry.reader for entry in entries}
            owners = retry_while_unavailable(partial(self._find_owners, readers, stored))
            for entry in entries:
                row = _plan_entry(entry, stored.get(entry.id), owners[entry.id], number, now)
                yield PlannedLine(entry.line, row)
                context.pace.step()
            missing = [(name, stored[name]) for name in stored.keys() - readers.keys()]
            yield from (PlannedLine(0, _ended(name, one, number)) for name, one in missing if one.is_running_at(now))

    def _find_owners(
        self, readers: Mapping[str, str | None], stored: Mapping[str, ProviderSource]
    ) -> dict[str, SnapshotOwner]:
        """Return the owner of each source by the reader that a file names; `None`: whoever has it so far."""
        had = {name: stored[name].tag.encode() for name in readers if name in stored}
        tags = {name: reader_hash(reader) if reader else had.get(name, b"") for name, reader in readers.items()}
        heirs = self.sources.find_heirs({*tags.values(), *had.values()})
        owners = {}
        for name, tag in tags.items():
            former = heirs[had[name]][0] if had.get(name) in heirs else had.get(name)
            owners[name] = SnapshotOwner(*heirs.get(tag, (tag, readers[name] or "")), former)
        gaining = [name for name, owner in owners.items() if owner.tag != owner.former]
        moments = self.erased.load_moments([owners[name].tag for name in gaining])
        erased = {name for name, moment in zip(gaining, moments, strict=True) if moment is not None}
        return {name: owner._replace(is_erased=name in erased) for name, owner in owners.items()}

    def replan(self, rows: Sequence[SnapshotRow], context: PlanContext) -> list[SnapshotRow]:
        """Return the rows as they are: no snapshot waits for a second admin."""
        return list(rows)

    # Applying.

    def apply(self, chunk: ImportChunk[SnapshotRow]) -> Mapping[str, int]:
        """Apply a chunk, and save when the snapshot was committed: the process that committed it may have failed to."""
        self.sources.save_snapshot_time(chunk.manifest.about["provider"], chunk.manifest.created_at)
        for due in batched(chunk.rows, _BATCH):
            for _ in range(_TRIES):
                due = self._write(chunk, due)
                if not due:
                    break
            else:
                raise LeaseLost  # These readers are merged all the time. The next turn repeats the chunk.
            self.pace.step()
        counted = Counter[str](row.action for row in chunk.rows)
        for row in chunk.rows:
            row.reader = None  # The readers' records hold it now.
        return counted

    def _write(self, chunk: ImportChunk[SnapshotRow], rows: Sequence[SnapshotRow]) -> list[SnapshotRow]:
        """Write rows. Return those whose reader was merged at the same moment."""
        provider = chunk.manifest.about["provider"]
        stored = self.sources.find_many(provider, [row.id for row in rows])
        owners = self._find_owners({row.id: row.reader for row in rows}, stored)
        changes, superseded = [], []
        for row in rows:
            one, owner = stored.get(row.id), owners[row.id]
            if row.action == "skipped" or (one is not None and one.number == row.number):
                continue  # The second was done before a crash.
            if owner.is_erased or not owner.tag:
                row.action = "skipped"
                continue
            before = one.as_source(provider, row.id) if one is not None else None
            change = SnapshotChange(row, _source_of(row, provider, before, chunk), owner, before)
            if one is not None and one.number > row.number:
                row.action = "skipped"
                superseded.append(change)
            else:
                changes.append(change)
        merged = self._write_sources(chunk, changes)
        done = [change for change in changes if change.row.id not in merged]
        self._announce(done)  # Before the entries: a row with an entry is not announced again after a crash.
        entries = {one.row.id: entry_of(one.source, one.row.number, one.owner.tag) for one in done}
        found = {name: one for name, one in self.sources.write(provider, entries).items() if one is not None}
        late = [one for one in done if one.row.id in found and found[one.row.id].number > one.row.number]
        # A turn that ended early may have written the records of readers whose row a newer report superseded since.
        self._give_way(chunk, superseded + late, stored | found)
        return [change.row for change in changes if change.row.id in merged]

    def _write_sources(self, chunk: ImportChunk[SnapshotRow], changes: Sequence[SnapshotChange]) -> set[str]:
        """Write the records of readers: first of those who gain. Return the IDs of sources whose reader was merged."""
        writes = [
            SourceWrite(
                tag=change.owner.tag,
                field=source_codec.field_of(change.source),
                number=change.row.number,
                record=source_codec.encode(change.source, change.row.number),
                place="reader" if change.source.ended_at is None else "past",
                reader=change.owner.reader,
            )
            for change in changes
        ]
        verdicts = self._run(chunk, writes)
        merged = {change.row.id for change, verdict in zip(changes, verdicts, strict=True) if verdict == "merged"}
        lost = [(change.loser, change) for change in changes if change.row.id not in merged]
        self._run(chunk, [_tombstone(tag, change, change.row.number) for tag, change in lost if tag is not None])
        return merged

    def _give_way(
        self, chunk: ImportChunk[SnapshotRow], late: Sequence[SnapshotChange], stored: Mapping[str, ProviderSource]
    ) -> None:
        """Take sources back where a newer report, which is stored, gave them to another reader."""
        owners = self._find_owners({change.row.id: None for change in late}, stored)
        lost = [change for change in late if owners[change.row.id].tag != change.owner.tag]
        self._run(chunk, [_tombstone(one.owner.tag, one, stored[one.row.id].number) for one in lost])
        if tags := {change.owner.tag for change in lost}:
            self.index.mark_imported(tags)
            self.known.forget_all(tags)

    def _run(self, chunk: ImportChunk[SnapshotRow], writes: Sequence[SourceWrite]) -> Sequence[str]:
        cause = f"audit:{chunk.manifest.entry}"
        verdicts = self.writer.write_sources(writes, "higher", chunk.turn, cause, chunk.now)
        if "late" in verdicts:
            raise LeaseLost
        return verdicts

    def _announce(self, done: Sequence[SnapshotChange]) -> None:
        """Mark the readers for the index, and forget on this machine what those who can lose access held."""
        losers = {change.loser for change in done if change.loser is not None}
        self.index.mark_imported(losers | {change.owner.tag for change in done})
        less = {one.owner.tag for one in done if one.before is not None and gives_less(one.before, one.source)}
        if losers | less:
            self.known.forget_all(losers | less)

    def undo(self, chunk: ImportChunk[SnapshotRow]) -> Mapping[str, int]:
        raise AssertionError("a snapshot cannot be undone")

    def remove_reader(self, rows: Sequence[SnapshotRow], tags: Collection[str]) -> int:
        theirs = [row for row in rows if row.reader is not None and reader_hash(row.reader).decode() in tags]
        for row in theirs:
            row.action, row.reader = "skipped", None
        return len(theirs)


def _plan_entry(
    entry: SnapshotEntry, stored: ProviderSource | None, owner: SnapshotOwner, number: int, now: int
) -> SnapshotRow:
    """Plan one row of the file."""
    runs = stored is not None and stored.is_running_at(now)
    row = SnapshotRow(entry.id, "changed", number, entry.reader, entry.plan, entry.until, now, runs, ends=False)
    row.ends = runs and entry.until is not None and entry.until <= now
    if owner.is_erased:
        if stored is not None and runs:  # What another reader had under this ID is no longer theirs.
            return _ended(entry.id, stored, number)
        row.action = "skipped"
    elif stored is None:
        row.action = "new"
    elif owner.tag == owner.former and stored.ended_at is None:
        row.start = stored.start
        if (stored.plan, stored.until) == (entry.plan, entry.until):
            row.action = "unchanged"
    return row


def _ended(name: str, stored: ProviderSource, number: int) -> SnapshotRow:
    """Plan a running source that the file lacks."""
    return SnapshotRow(name, "ended", number, None, stored.plan, stored.until, stored.start, runs=True, ends=True)


def _source_of(row: SnapshotRow, provider: str, before: External | None, chunk: ImportChunk[SnapshotRow]) -> External:
    ended_at = None
    if row.action == "ended":
        ended_at = chunk.manifest.created_at if before is None or before.ended_at is None else before.ended_at
    return External(f"{provider}:{row.id}", row.plan, row.start, row.until, ended_at)


def _tombstone(tag: bytes, change: SnapshotChange, number: int) -> SourceWrite:
    field_name = source_codec.field_of(change.source)
    return SourceWrite(tag, field_name, number, source_codec.tombstone(number), "past")
