"""Apply a chunk of an import of grants, or undo it.

Each write names the version of the grant that the plan was made for, so a repeat changes nothing twice. An undo revokes the
grants that the import created, and gives those that it extended the end that they would have without it. It leaves alone
what an admin has changed or revoked since, and what a later import granted until that one is undone as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from service.adapters.batches import batched
from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.grants.grant_import_rows import GrantImportWriter, GrantRow, GrantVerdict
from service.adapters.redis.grants.grant_states import GrantState, GrantStates
from service.adapters.redis.grants.grants import GrantEndIndex
from service.adapters.redis.imports.import_store import ImportManifest, ImportStore, SourceWrite
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers import source_codec
from service.domain.sources import Grant
from service.use_cases.imports.kinds import ImportChunk, LeaseLost, PlanContext
from service.use_cases.imports.pacing import Pace

GRANTING = ("new", "extended", "changed", "revoked")
"""Actions that write a grant."""
ENDING = ("changed", "revoked")
"""Actions that can take access from a reader."""
_BATCH = 200
"""Rows processed at a time."""
_TRIES = 50

Replan = Callable[[Sequence[GrantRow], PlanContext], list[GrantRow]]
"""Plans rows again whose grants have changed since."""


@dataclass
class GrantChunks:
    """Applies and undoes chunks, in one thread at a time. Raises: StoreUnavailable and LeaseLost from both."""

    store: ImportStore
    writer: GrantImportWriter
    index: ReaderIndex
    states: GrantStates
    ends: GrantEndIndex
    recent_entitlements: RecentEntitlements
    pace: Pace
    _undone: dict[str, bool] = field(default_factory=dict, init=False)

    def _write(
        self, chunk: ImportChunk[GrantRow], writes: Sequence[SourceWrite], entry: str | None
    ) -> list[GrantVerdict]:
        """Write grants in the name of an audit entry, and return the verdict on each."""
        created_at = chunk.manifest.created_at
        verdicts = self.writer.write_grants(writes, chunk.turn, created_at, f"audit:{entry}", chunk.now)
        if "late" in verdicts:
            raise LeaseLost
        return verdicts

    # Apply.

    def apply(self, chunk: ImportChunk[GrantRow], replan: Replan) -> Counter[str]:
        """Apply a chunk. Return how often each action was taken."""
        manifest, rows, now = chunk.manifest, chunk.rows, chunk.now
        for places in batched(range(len(rows)), _BATCH):
            for place in self._write_rows(chunk, places):
                self._replan_and_write(chunk, place, replan)
            self.pace.step()
        granted = [row for row in rows if row.action in GRANTING]
        self.ends.add_imported([(row.tag.encode(), _indexed_grant(manifest, row, now)) for row in granted], manifest.id)
        # A former release has stored no IDs: importing its file again does.
        named = {row.tag.encode(): row.reader for row in rows if row.action == "unchanged" and row.reader is not None}
        self.index.name_readers(named)
        self.index.mark_imported({*named, *(row.tag.encode() for row in granted)})
        if ended := {row.tag.encode() for row in rows if row.action in ENDING}:
            self.recent_entitlements.forget_all(ended)
        for row in rows:
            row.reason = row.reader = None  # A reason can name anybody; the reader's records hold both now.
        return Counter(row.action for row in rows)

    def _write_rows(self, chunk: ImportChunk[GrantRow], places: Sequence[int]) -> list[int]:
        """Write the grants of the rows at these places. Return the places where the plan no longer fits."""
        manifest, rows, now = chunk.manifest, chunk.rows, chunk.now
        due: list[int] = []
        for place in places:
            row = rows[place]
            if row.action in GRANTING:
                # It may have ended while it waited for a second admin.
                if row.action != "revoked" and row.until is not None and row.until <= now:
                    row.action = "skipped"
                else:
                    due.append(place)
        extended = [place for place in due if rows[place].action != "new"]
        states = dict(zip(extended, self.states.load([rows[place] for place in extended]), strict=True))
        conflicts, writes = list[int](), dict[int, SourceWrite]()
        for place in due:
            row, state = rows[place], states.get(place)
            if state is None:
                writes[place] = _grant_write(
                    row.tag.encode(), _new_grant(manifest, row, now), row.number + 1, row.reader
                )
            elif state.grant is None or state.number != row.number or state.merged:
                conflicts.append(place)
            else:
                grant = _changed_grant(state.grant, row, now)
                writes[place] = _grant_write(row.tag.encode(), grant, row.number + 1, row.reader)
        verdicts = self._write(chunk, list(writes.values()), manifest.entry)
        for place, verdict in zip(writes, verdicts, strict=True):
            if verdict == "erased":
                rows[place].action = "skipped"
            elif verdict != "applied":
                conflicts.append(place)
        return sorted(conflicts)

    def _replan_and_write(self, chunk: ImportChunk[GrantRow], place: int, replan: Replan) -> None:
        """Plan a row again whose plan does not fit: this import has written it before a crash, or another has."""
        rows, manifest = chunk.rows, chunk.manifest
        context = PlanContext(manifest.id, chunk.now, about=manifest.about)
        for _ in range(_TRIES):
            if self.states.was_written(rows[place], manifest.entry):
                return
            (rows[place],) = replan([rows[place]], context)
            chunk.save()  # What an undo needs is stored before the grant is written.
            if not self._write_rows(chunk, [place]):
                return
        raise LeaseLost  # This reader changes all the time. The next turn repeats the chunk.

    # Undo.

    def undo(self, chunk: ImportChunk[GrantRow]) -> Counter[str]:
        """Undo a chunk. Return how many grants were taken back and left alone."""
        granted = [row for row in chunk.rows if row.action in GRANTING]
        counted = Counter(taken_back=0, left_alone=0)
        ended = {row.tag.encode() for row in granted}
        # Read again for each chunk: of two imports undone at once, at least one then knows of the other.
        self._undone.clear()
        for batch in batched(granted, _BATCH):
            counted.update(self._undo_batch(chunk, batch, ended))
            self.pace.step()
        if ended:
            self.index.mark_imported(ended)
            self.recent_entitlements.forget_all(ended)
        return counted

    def _undo_batch(self, chunk: ImportChunk[GrantRow], rows: Sequence[GrantRow], ended: set[bytes]) -> list[str]:
        """Return the result for each row that the import had applied; add to `ended` the readers who lose a grant."""
        results: list[str] = []
        for _ in range(_TRIES):
            due, unsure = self._untouched(chunk, rows)
            for row, state in zip(unsure, self.states.load(unsure), strict=True):
                verdict = self._judge(chunk.manifest, row, state)
                if verdict == "take_back":
                    due.append((row, state))
                elif verdict is not None:
                    results.append(verdict)
            ended |= {state.tag for _, state in due}
            rows, taken = self._take_back(chunk, due)
            results += ["taken_back"] * taken
            if not rows:
                return results
        raise LeaseLost  # These readers change all the time. The next turn repeats the chunk.

    def _untouched(
        self, chunk: ImportChunk[GrantRow], rows: Sequence[GrantRow]
    ) -> tuple[list[tuple[GrantRow, GrantState]], Sequence[GrantRow]]:
        """Return new grants whose number shows that only this import wrote them, and the rows that need more reading.

        The last chunk always needs it, because the import may have been undone while that was being applied. So do
        extended grants: their earlier end may come from another import that was undone since.
        """
        if chunk.turn.chunk == chunk.manifest.chunks - 1:
            return [], rows
        new = [row for row in rows if row.action == "new"]
        untouched: list[tuple[GrantRow, GrantState]] = []
        unsure = [row for row in rows if row.action != "new"]
        for row, state in zip(new, self.states.load_hot(new), strict=True):
            if state.grant is not None and state.number == row.number + 1:
                untouched.append((row, state))
            else:
                unsure.append(row)
        return untouched, unsure

    def _judge(self, manifest: ImportManifest, row: GrantRow, state: GrantState) -> str | None:
        """Return `take_back`, or the result if nothing is to be done; `None` if the import did not get this far."""
        grant = state.grant
        if grant is None or (row.action != "new" and state.number == row.number):
            return None
        if state.changes and state.changes[-1].cause == f"audit:{manifest.undo}":
            return "taken_back"
        changes = state.effective_changes(lambda other: self._is_other_undone(manifest, other))
        cause = changes[-1].cause if changes else None
        if cause == f"audit:{manifest.entry}":
            return "take_back"
        # The history shows who changed it last, unless that change is no longer kept or came with a merge.
        known = cause is not None and not (state.merged and cause == "merge")
        is_revoked = grant.revoked_at is not None
        as_granted = is_revoked if row.action == "revoked" else not is_revoked and grant.until == row.until
        return "take_back" if as_granted and not known else "left_alone"

    def _take_back(
        self, chunk: ImportChunk[GrantRow], due: Sequence[tuple[GrantRow, GrantState]]
    ) -> tuple[list[GrantRow], int]:
        """Take grants back. Return the rows whose grant changed at the same moment, and how many were taken back."""
        manifest = chunk.manifest
        ends = [(row, state, self._without_import(manifest, row, state, chunk.now)) for row, state in due]
        writes = [_grant_write(state.tag, grant, state.number + 1) for _, state, grant in ends]
        judged = list(zip(ends, self._write(chunk, writes, manifest.undo), strict=True))
        ended = [(state.tag, grant) for (_, state, grant), verdict in judged if verdict == "applied"]
        self.ends.add_imported(ended, manifest.id)
        return [row for (row, _, _), verdict in judged if verdict in ("conflict", "merged")], len(ended)

    def _without_import(self, manifest: ImportManifest, row: GrantRow, state: GrantState, now: float) -> Grant:
        """Return the grant as it is without this import."""
        grant = state.grant
        assert grant is not None  # `_judge` and `_untouched` return only grants that exist.
        if row.action == "new":
            return replace(grant, revoked_at=int(now))
        changes = state.effective_changes(lambda other: self._is_other_undone(manifest, other))
        if len(changes) > 1 and changes[-1].cause == f"audit:{manifest.entry}" and changes[-2].record is not None:
            before = source_codec.decode(source_codec.field_of(grant), changes[-2].record)
            if isinstance(before, Grant):
                return replace(grant, until=before.until, revoked_at=before.revoked_at)
        if grant.import_id is not None and self._is_undone(grant.import_id):
            return replace(grant, revoked_at=int(now))
        return replace(grant, until=row.old, revoked_at=None)

    def _is_other_undone(self, manifest: ImportManifest, import_id: str) -> bool:
        return import_id != manifest.id and self._is_undone(import_id)

    def _is_undone(self, import_id: str) -> bool:
        if import_id not in self._undone:
            found = self.store.find(import_id)
            self._undone[import_id] = found is not None and found.state in ("undoing", "undone")
        return self._undone[import_id]


def _new_grant(manifest: ImportManifest, row: GrantRow, now: float) -> Grant:
    return Grant(
        id=row.grant or "",
        plan=row.plan,
        features=(),
        reason=row.reason or "",
        start=int(now),
        until=row.until,
        actor=manifest.actor.name,
        created_at=int(now),
        import_id=manifest.id,
    )


def _changed_grant(grant: Grant, row: GrantRow, now: float) -> Grant:
    return replace(grant, revoked_at=int(now)) if row.action == "revoked" else replace(grant, until=row.until)


def _indexed_grant(manifest: ImportManifest, row: GrantRow, now: float) -> Grant:
    """Return what the index of grants by their end needs to know of a grant that was written."""
    grant = _new_grant(manifest, row, now)
    if row.action == "new":
        return grant
    return replace(grant, import_id=None, revoked_at=int(now) if row.action == "revoked" else None)


def _grant_write(tag: bytes, grant: Grant, number: int, reader: str | None = None) -> SourceWrite:
    record = source_codec.encode(grant, number)
    place: Literal["reader", "past"] = "reader" if grant.revoked_at is None else "past"
    return SourceWrite(tag, source_codec.field_of(grant), number, record, place, reader or "")
