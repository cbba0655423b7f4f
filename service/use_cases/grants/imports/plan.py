"""Plan an import of grants: compare each row with what its reader holds.

A row *extends* an active grant of its plan that ends earlier. It creates a *new* grant where none is active, beside any that
is scheduled, expired or revoked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grant_import_rows import GrantRow
from service.adapters.redis.readers.readers import StoredSource, merged_into, stored_sources
from service.domain.sources import Grant, end_order
from service.use_cases.grants.imports.grant_file import GrantEntry
from service.use_cases.imports.csv_file import ImportSheet, RowMistake
from service.use_cases.imports.kinds import PlanContext, PlannedLine
from service.use_cases.imports.pacing import retry_while_unavailable


class PlannedReader(NamedTuple):
    """The hash after merges, the ID of the reader whom this one was merged into, and the sources in the hot record."""

    tag: bytes
    heir: str | None
    sources: list[StoredSource]


class GrantPlanner:
    """Plans imports of grants. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def plan(self, sheet: ImportSheet[GrantEntry], context: PlanContext) -> Iterator[PlannedLine[GrantRow]]:
        """Yield the line and the planned row of each entry.

        Where two entries turn out to be of the same reader by a merge, add a mistake to the sheet instead.
        """
        first_lines: dict[tuple[bytes, str], int] = {}
        for batch in sheet.batches():
            for entry, found in zip(batch, self.load_readers([e.tag for e in batch]), strict=True):
                first = first_lines.setdefault((found.tag, entry.plan), entry.line)
                if first != entry.line:
                    message = f"is by a merge the same reader as in line {first}, with the same plan"
                    sheet.mistakes.append(RowMistake(entry.line, "reader", message))
                    continue
                yield PlannedLine(entry.line, _plan_entry(entry, found, context.import_id, context.now))
                context.pace.step()

    def load_readers(self, tags: Sequence[bytes]) -> list[PlannedReader]:
        """Return the reader of each hash, after merges."""
        keys = [self._keys.reader(tag) for tag in tags]
        replies = retry_while_unavailable(lambda: self._link.read_each(b"HGETALL", keys))
        return [self._follow_merge(tag, reply) for tag, reply in zip(tags, replies, strict=True)]

    def _follow_merge(self, tag: bytes, reply: Any) -> PlannedReader:
        heir = merged_into(reply) if reply else None
        if heir is None:
            return PlannedReader(tag, None, stored_sources(reply))
        return self.load_readers([reader_hash(heir)])[0]._replace(heir=heir)

    def replan(self, rows: Sequence[GrantRow], context: PlanContext) -> list[GrantRow]:
        planned = []
        for row, found in zip(rows, self.load_readers([row.tag.encode() for row in rows]), strict=True):
            entry = GrantEntry(0, row.reader, found.tag, row.plan or "", row.until, row.reason or "")
            planned.append(_plan_entry(entry, found, context.import_id, context.now))
        return planned


def _plan_entry(entry: GrantEntry, found: PlannedReader, import_id: str, now: float) -> GrantRow:
    """Plan one row for its reader."""
    tag = found.tag
    active = [
        (one.source, one.number)
        for one in found.sources
        if isinstance(one.source, Grant) and one.source.plan == entry.plan and one.source.status_at(now) == "active"
    ]
    row = GrantRow(tag.decode(), "unchanged", None, 0, None, entry.plan, entry.until, entry.reason)
    row.reader = found.heir or entry.reader
    if not active:
        row.action, row.grant = "new", _grant_id(import_id, tag, entry.plan)
        return row
    grant, number = max(active, key=lambda pair: end_order(pair[0].until))
    if end_order(entry.until) > end_order(grant.until):
        row.action, row.grant, row.number, row.old = "extended", grant.id, number, grant.until
    return row


def _grant_id(import_id: str, tag: bytes, plan: str) -> str:
    """Return the ID of a row's grant: always the same, so that a repeat finds the grant."""
    named = b"%b:%b:%b" % (import_id.encode(), tag, plan.encode())
    return "gr_" + blake2b(named, digest_size=10, person=b"grant").hexdigest()
