"""Taking back what a chunk of an import gave, and only that.

A grant that the import gave is revoked; one that it extended gets back the end that it would have without it. What an admin
changed or revoked since is left alone, and so is what a later import gave, until that is undone as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.grants.grant_ends import GrantEndIndex
from service.adapters.redis.grants.imports import GrantWrite, ImportManifest, ImportRow, ImportStore, ImportTurn
from service.adapters.redis.readers import source_codec
from service.domain.sources import Grant
from service.use_cases.grants.imports.apply import BATCH, GIVEN, Late, cause_of
from service.use_cases.grants.imports.attribution import in_force
from service.use_cases.grants.imports.grant_states import Change, Standing, Standings
from service.use_cases.grants.imports.pacing import Pace

_TRIES = 50


class Undoing:
    """Works for one process. `StoreUnavailable`; `Late` when the lease is gone."""

    def __init__(
        self,
        store: ImportStore,
        standings: Standings,
        ends: GrantEndIndex,
        known: RecentEntitlements | None,
        pace: Pace,
    ) -> None:
        self._store = store
        self._standings = standings
        self._ends = ends
        self._known = known
        self._pace = pace
        self._undone: dict[str, bool] = {}

    def chunk(self, manifest: ImportManifest, turn: ImportTurn, rows: list[ImportRow], now: float) -> dict[str, int]:
        """Does a chunk. Gives what was done how often."""
        given = [row for row in rows if row.action in GIVEN]
        counted = {"taken_back": 0, "left_alone": 0}
        ended = {row.tag.encode() for row in given}
        # Looked up anew for each chunk: of two that are undone at once, one at least then knows of the other.
        self._undone.clear()
        for start in range(0, len(given), BATCH):
            for word in self._batch(manifest, turn, given[start : start + BATCH], now, ended):
                counted[word] += 1
            self._pace.step()
        if self._known is not None and ended:
            self._known.forget_all(ended)
        return counted

    def _batch(
        self, manifest: ImportManifest, turn: ImportTurn, rows: list[ImportRow], now: float, ended: set[bytes]
    ) -> list[str]:
        words: list[str] = []
        for _ in range(_TRIES):
            untouched, rows = self._untouched(manifest, turn, rows)
            looked = list(zip(rows, self._standings.of(rows), strict=True))
            verdicts = [self._verdict(manifest, row, standing) for row, standing in looked]
            words += [verdict for verdict in verdicts if verdict is not None and verdict != "take"]
            due = untouched + [pair for pair, verdict in zip(looked, verdicts, strict=True) if verdict == "take"]
            ended |= {standing.tag for _, standing in due}
            rows, taken = self._take(manifest, turn, due, now)
            words += ["taken_back"] * taken
            if not rows:
                return words
        raise Late  # Somebody changes these readers all the time; the whole chunk is taken up again.

    def _untouched(
        self, manifest: ImportManifest, turn: ImportTurn, rows: list[ImportRow]
    ) -> tuple[list[tuple[ImportRow, Standing]], list[ImportRow]]:
        """Grants whose number says that nobody else has touched them, and the rows of which more has to be known.

        Of the last chunk more has to be known: the import may have been undone while it was at it. Likewise of what it
        extended: the end from before may be another import's, which was undone since.
        """
        if turn.chunk == manifest.chunks - 1:
            return [], rows
        new = [row for row in rows if row.action == "new"]
        sure: list[tuple[ImportRow, Standing]] = []
        unsure = [row for row in rows if row.action != "new"]
        for row, standing in zip(new, self._standings.briefly(new), strict=True):
            if standing.grant is not None and standing.number == row.number + 1:
                sure.append((row, standing))
            else:
                unsure.append(row)
        return sure, unsure

    def _take(
        self, manifest: ImportManifest, turn: ImportTurn, due: Sequence[tuple[ImportRow, Standing]], now: float
    ) -> tuple[list[ImportRow], int]:
        """Takes grants back. Gives the rows whose grant somebody changed at the same moment, and how many were taken."""
        changed = [(standing.tag, self._taken(manifest, row, standing, now)) for row, standing in due]
        puts = [_put(tag, grant, standing) for (tag, grant), (_, standing) in zip(changed, due, strict=True)]
        outcomes = self._store.write_grants(puts, turn, manifest.created_at, f"audit:{manifest.undo}", now)
        again: list[ImportRow] = []
        ended: list[tuple[bytes, Grant]] = []
        for (row, _), one, outcome in zip(due, changed, outcomes, strict=True):
            if outcome.verdict == "late":
                raise Late
            if outcome.verdict in ("conflict", "merged"):
                again.append(row)
            elif outcome.verdict == "applied":
                ended.append(one)
        self._ends.add_imported(ended, manifest.id)
        return again, len(ended)

    def _verdict(self, manifest: ImportManifest, row: ImportRow, now: Standing) -> str | None:
        """`take`, or how it counts; `None`: the import did not get this far."""
        grant = now.grant
        if grant is None or (row.action == "extended" and now.number == row.number):
            return None
        if now.changes and now.changes[-1].cause == f"audit:{manifest.undo}":
            return "taken_back"
        standing = self._in_force(manifest, now)
        cause = standing[-1].cause if standing else None
        if cause == cause_of(manifest):
            return "take"
        # The history says who changed it last, unless the change is no longer kept or came along with a merge.
        known = cause is not None and not (now.merged and cause == "merge")
        as_given = grant.revoked_at is None and grant.until == row.until
        return "take" if as_given and not known else "left_alone"

    def _taken(self, manifest: ImportManifest, row: ImportRow, standing: Standing, now: float) -> Grant:
        grant = standing.grant
        assert grant is not None  # What is due was found.
        if row.action == "new":
            return replace(grant, revoked_at=int(now))
        changes = self._in_force(manifest, standing)
        before = changes[-2].record if len(changes) > 1 and changes[-1].cause == cause_of(manifest) else None
        had = source_codec.decode(source_codec.field_of(grant), before.encode()) if before is not None else None
        if isinstance(had, Grant):
            return replace(grant, until=had.until)
        if grant.import_id is not None and self._was_undone(grant.import_id):
            return replace(grant, revoked_at=int(now))
        return replace(grant, until=row.old)

    def _in_force(self, manifest: ImportManifest, standing: Standing) -> list[Change]:
        """What still counts of a grant's changes, with ours."""
        return in_force(standing.changes, lambda name: name != manifest.id and self._was_undone(name))

    def _was_undone(self, import_id: str) -> bool:
        if import_id not in self._undone:
            other = self._store.find(import_id)
            self._undone[import_id] = other is not None and other.state in ("undoing", "undone")
        return self._undone[import_id]


def _put(tag: bytes, grant: Grant, standing: Standing) -> GrantWrite:
    number = standing.number + 1
    place: Literal["reader", "past"] = "reader" if grant.revoked_at is None else "past"
    return GrantWrite(tag, source_codec.field_of(grant), number, source_codec.encode(grant, number), place)
