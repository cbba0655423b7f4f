"""What an import would do: each row against what its reader holds now.

"extended": holds that plan by a grant that ends earlier. A grant counts while it is active; one that is scheduled, expired
or revoked gives nothing now, so the row gives a new one beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.imports import ImportRow
from service.adapters.redis.readers.readers import StoredSource, merged_into, stored_sources
from service.domain.sources import Grant
from service.use_cases.grants.imports.pacing import HASTE, Pace, patiently
from service.use_cases.grants.imports.rows import Entry, Mistake

_BATCH = 100


class Planner:
    """Reads readers by their tags. Every method raises `StoreUnavailable` where the store is away."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def plan(
        self, entries: Sequence[Entry], import_id: str, now: float, mistakes: list[Mistake], pace: Pace = HASTE
    ) -> Iterator[tuple[int, ImportRow]]:
        """The line and the row of each entry; where two turn out to be the same reader's by a merge, a mistake in its place."""
        seen: dict[tuple[bytes, str], int] = {}
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            for entry, (tag, kept) in zip(batch, self.look([entry.tag for entry in batch]), strict=True):
                first = seen.setdefault((tag, entry.plan), entry.line)
                if first != entry.line:
                    message = f"is by a merge the same reader as in line {first}, with the same plan"
                    mistakes.append(Mistake(entry.line, "reader", message))
                    continue
                yield entry.line, planned(entry, tag, kept, import_id, now)
                pace.step()

    def look(self, tags: Sequence[bytes]) -> list[tuple[bytes, list[StoredSource]]]:
        """For each tag the tag that it is answered as, and what lies in that reader's hot record."""
        keys = [self._keys.reader(tag) for tag in tags]
        replies = patiently(lambda: self._link.read([(key, (b"HGETALL", key)) for key in keys]))
        return [self._resolved(tag, reply) for tag, reply in zip(tags, replies, strict=True)]

    def _resolved(self, tag: bytes, reply: Any) -> tuple[bytes, list[StoredSource]]:
        heir = merged_into(reply) if reply else None
        if heir is None:
            return tag, stored_sources(reply)
        return self.look([reader_hash(heir)])[0]


def planned(entry: Entry, tag: bytes, kept: Sequence[StoredSource], import_id: str, now: float) -> ImportRow:
    """What one row does to a reader who holds this."""
    standing = held(kept, entry.plan, now)
    name = tag.decode()
    if standing is None:
        return ImportRow(
            name, "new", grant_id(import_id, tag, entry.plan), 0, None, entry.plan, entry.until, entry.reason
        )
    number, grant = standing
    if not later(entry.until, grant.until):
        return ImportRow(name, "unchanged", None, 0, None, entry.plan, entry.until, entry.reason)
    return ImportRow(name, "extended", grant.id, number, grant.until, entry.plan, entry.until, entry.reason)


def replanned(row: ImportRow, tag: bytes, kept: Sequence[StoredSource], import_id: str, now: float) -> ImportRow:
    """The same of a row that was planned before."""
    return planned(Entry(0, tag, row.plan or "", row.until, row.reason or ""), tag, kept, import_id, now)


def held(kept: Sequence[StoredSource], plan: str, now: float) -> tuple[int, Grant] | None:
    """The active grant of this plan that ends last, and its number."""
    best: tuple[int, Grant] | None = None
    for one in kept:
        grant = one.source
        if not isinstance(grant, Grant) or grant.plan != plan or grant.status_at(now) != "active":
            continue
        if best is None or later(grant.until, best[1].until):
            best = (one.number, grant)
    return best


def later(end: int | None, than: int | None) -> bool:
    """Whether an end comes after another; no end is the latest."""
    return than is not None and (end is None or end > than)


def grant_id(import_id: str, tag: bytes, plan: str) -> str:
    """The id of the grant that a row gives: the same whenever it is worked out, so that a repeat finds it."""
    named = b"%b:%b:%b" % (import_id.encode(), tag, plan.encode())
    return "gr_" + blake2b(named, digest_size=10, person=b"grant").hexdigest()
