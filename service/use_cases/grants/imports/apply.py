"""Giving what a chunk of an import says. Each put names the state that the plan saw, so a repeat changes nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from service.adapters.redis.grants.grant_ends import GrantEndIndex
from service.adapters.redis.grants.imports import GrantWrite, ImportManifest, ImportRow, ImportStore, ImportTurn
from service.adapters.redis.readers import source_codec
from service.domain.sources import Grant
from service.use_cases.grants.imports.grant_states import Standings
from service.use_cases.grants.imports.pacing import Pace
from service.use_cases.grants.imports.plan import Planner, replanned

GIVEN = ("new", "extended")
BATCH = 200
"""Rows worked out at a time."""
_TRIES = 50


class Late(Exception):
    """The lease is another process's by now: whatever is left is for that one to do."""


class Applying:
    """Works for one process. `StoreUnavailable`; `Late` when the lease is gone."""

    def __init__(
        self,
        store: ImportStore,
        planner: Planner,
        standings: Standings,
        ends: GrantEndIndex,
        pace: Pace,
    ) -> None:
        self._store = store
        self._planner = planner
        self._standings = standings
        self._ends = ends
        self._pace = pace

    def chunk(
        self, manifest: ImportManifest, turn: ImportTurn, holder: str, rows: list[ImportRow], now: float
    ) -> tuple[list[ImportRow], dict[str, int]]:
        """Does a chunk. Gives it as an undo will need it, and what was done how often."""
        for start in range(0, len(rows), BATCH):
            self._batch(manifest, turn, holder, rows, range(start, min(start + BATCH, len(rows))), now)
            self._pace.step()
        self._ends.add_imported(_written(manifest, rows, now), manifest.id)
        counted: dict[str, int] = {}
        for row in rows:
            counted[row.action] = counted.get(row.action, 0) + 1
        return [_kept(row) for row in rows], counted

    def _batch(
        self,
        manifest: ImportManifest,
        turn: ImportTurn,
        holder: str,
        rows: list[ImportRow],
        places: Sequence[int],
        now: float,
    ) -> None:
        due = [place for place in places if rows[place].action in GIVEN]
        over = [place for place in due if _is_over(rows[place], now)]
        for place in over:
            rows[place].action = "skipped"
        due = [place for place in due if place not in over]
        puts = self._puts(manifest, [rows[place] for place in due], now)
        outcomes = self._store.write_grants(
            [put for put in puts if put], turn, manifest.created_at, cause_of(manifest), now
        )
        answered = iter(outcomes)
        for place, put in zip(due, puts, strict=True):
            verdict = next(answered).verdict if put else "conflict"
            if verdict == "late":
                raise Late
            if verdict == "erased":
                rows[place].action = "skipped"
            elif verdict != "applied":
                self._again(manifest, turn, holder, rows, place, now)

    def _puts(self, manifest: ImportManifest, rows: Sequence[ImportRow], now: float) -> list[GrantWrite | None]:
        """What to put for each row; `None` where a grant to be extended is not as it was."""
        extended = [row for row in rows if row.action == "extended"]
        standing = dict(zip([id(row) for row in extended], self._standings.of(extended), strict=True))
        puts: list[GrantWrite | None] = []
        for row in rows:
            if row.action == "new":
                puts.append(_put(row, given(manifest, row, now)))
                continue
            seen = standing[id(row)]
            if seen.grant is None or seen.number != row.number or seen.merged:
                puts.append(None)
            else:
                puts.append(_put(row, replace(seen.grant, until=row.until)))
        return puts

    def _again(
        self, manifest: ImportManifest, turn: ImportTurn, holder: str, rows: list[ImportRow], place: int, now: float
    ) -> None:
        """The plan does not fit: by our own hand, before a crash, or by another's; then it is planned anew."""
        for _ in range(_TRIES):
            row = rows[place]
            if self._standings.was_put(row, manifest.entry):
                return
            ((tag, kept),) = self._planner.look([row.tag.encode()])
            rows[place] = row = replanned(row, tag, kept, manifest.id, now)
            if row.action == "unchanged":
                return
            # What an undo needs is written down before anything is put.
            if not self._store.rewrite_chunk(manifest.id, holder, manifest.state, turn.chunk, rows):
                raise Late
            (put,) = self._puts(manifest, [row], now)
            verdict = "conflict"
            if put:
                verdict = self._store.write_grants([put], turn, manifest.created_at, cause_of(manifest), now)[0].verdict
            if verdict == "late":
                raise Late
            if verdict == "erased":
                row.action = "skipped"
            if verdict in ("applied", "erased"):
                return
        raise Late  # Somebody changes this reader all the time; the whole chunk is taken up again.


def _written(manifest: ImportManifest, rows: Sequence[ImportRow], now: float) -> Iterator[tuple[bytes, Grant]]:
    for row in rows:
        if row.action in GIVEN:
            grant = given(manifest, row, now)
            yield row.tag.encode(), grant if row.action == "new" else replace(grant, import_id=None)


def cause_of(manifest: ImportManifest) -> str:
    """What a reader's history names as the cause: the import's audit entry."""
    return f"audit:{manifest.entry}"


def given(manifest: ImportManifest, row: ImportRow, now: float) -> Grant:
    """The grant that a row gives."""
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


def _put(row: ImportRow, grant: Grant) -> GrantWrite:
    field, number = source_codec.field_of(grant), row.number + 1
    record = source_codec.encode(grant, number)
    return GrantWrite(row.tag.encode(), field, number, record, "reader")


def _is_over(row: ImportRow, now: float) -> bool:
    """Whether its end has come while it waited for a second admin."""
    return row.until is not None and row.until <= now


def _kept(row: ImportRow) -> ImportRow:
    """The row without its reason, which may name somebody, and which the grant has now."""
    return ImportRow(row.tag, row.action, row.grant, row.number, row.old, row.plan, row.until)
