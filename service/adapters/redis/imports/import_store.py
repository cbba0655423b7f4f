"""Imports in the store: rows staged in chunks, one key that commits, a lease on the work, and the writes of sources under it.

All of an import lies in one slot, with an audit outbox of its own. A chunk is sealed, because a row names its reader. What a
row holds depends on the kind of the import. When a chunk is done, only what an undo needs stays, without IDs of readers.

The process that does the work holds a lease by the store's own clock, and every write carries the end of the lease: a late one
is refused. So two processes never work on the same import, however long one of them was stopped.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import msgspec

from service.adapters.batches import batched
from service.adapters.crypto import Sealer
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import import_tag
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import HISTORY_ENTRIES, Rule, field_pairs, pack_change
from service.adapters.redis.records import StoreRecords, encode_json
from service.domain.errors import NewerSchema

ACQUIRE_TURN, COMMIT, REWRITE_CHUNK = load("acquire_import_turn"), load("commit_import"), load("rewrite_import_chunk")
WRITE_SOURCES, FIELD = load("write_import_sources"), load("replace_field")

GRANT_IMPORT = "grants"
"""The kind of an import that names none: a former release knew no other."""
SCHEMA = 2
"""Of an import of another kind than grants, which a former release would misread; grants have 1."""
STAGED_FOR = 31 * 86_400
"""Seconds for which an uncommitted import is kept: a second admin has 30 days to approve it."""
KEPT_FOR = 400 * 86_400
"""Seconds for which an import can be shown and undone."""
SOURCES_A_SCRIPT = 20
"""Sources written by one script: more of them delay access checks, fewer cost more flushes to disk."""

State = Literal["staged", "applying", "done", "undoing", "undone"]
SourceVerdict = Literal["applied", "conflict", "stale", "merged", "late"]
COUNTED = ("skipped", "taken_back", "left_alone")
"""Results that imports of every kind count, besides those that were planned."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ImportManifest:
    """An import as a whole.

    `planned` counts what was planned, `counted` what was done; `entry` is the ID of its audit entry. `about` is what the
    request holds besides the rows, and depends on the kind.
    """

    id: str
    kind: str
    state: State
    rows: int
    actor: Actor
    created_at: int
    entry: str
    undo: str | None
    chunks: int
    cursor: int
    planned: dict[str, int]
    counted: dict[str, int]
    approval: str | None
    about: Mapping[str, Any]

    @property
    def public_state(self) -> str:
        """The state in the contract's words: what is being undone is applied in reverse."""
        return "applying" if self.state == "undoing" else self.state


@dataclass(frozen=True, slots=True)
class ImportTurn:
    """What there is to do now: the chunk, and the end of the lease (the store's clock, milliseconds)."""

    holder: str
    state: Literal["applying", "undoing", "busy", "idle"]
    chunk: int
    until_ms: int
    sealed: bytes


class ImportStore(StoreRecords):
    """Stores imports. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, sealer: Callable[[], Sealer]) -> None:
        super().__init__(store)
        self._sealer = sealer
        self._open = store.keys.shared("imports")

    # Staging, before anything takes effect.

    def stage_chunk(self, import_id: str, chunk: int, rows: Sequence[Any]) -> None:
        key = self.keys.import_rows(import_id)
        sealed = self._sealed(rows)
        self._link.pipeline([(key, (b"HSET", key, chunk, sealed)), (key, (b"EXPIRE", key, STAGED_FOR))])

    def stage_manifest(self, manifest: ImportManifest) -> None:
        """Store the manifest: the last step before the import can be committed."""
        key = self.keys.import_state(manifest.id)
        fields: dict[str, bytes | int | str] = {
            "schema": 1 if manifest.kind == GRANT_IMPORT else SCHEMA,
            "kind": manifest.kind,
            "state": manifest.state,
            "rows": manifest.rows,
            "actor": encode_json({"name": manifest.actor.name, "from_ip": manifest.actor.from_ip}),
            "created": manifest.created_at,
            "entry": manifest.entry,
            "chunks": manifest.chunks,
            "cursor": manifest.cursor,
            "planned": encode_json(manifest.planned),
            "about": encode_json(manifest.about),
            **manifest.counted,
        }
        parts = [part for pair in fields.items() for part in pair]
        self._link.pipeline([(key, (b"HSET", key, *parts)), (key, (b"EXPIRE", key, STAGED_FOR))])
        # From here on the search for work finds the import, and so does the erasure of a reader.
        self._call(b"SADD", self._open, manifest.id)

    def discard(self, import_id: str) -> None:
        """Delete what was staged and will not be committed."""
        for key in (self.keys.import_state(import_id), self.keys.import_rows(import_id)):
            self._call(b"DEL", key)
        self.mark_finished(import_id)

    def save_approval(self, import_id: str, approval: str) -> None:
        self._call(b"HSET", self.keys.import_state(import_id), b"approval", approval)

    # Committing and reading.

    def commit(self, import_id: str, entry_id: str, entry: bytes) -> None:
        """Commit an import, if it is staged."""
        self._to("applying", import_id, entry_id, entry)

    def commit_undo(self, import_id: str, entry_id: str, entry: bytes) -> None:
        """Commit the undo of an import, whatever its state."""
        self.reopen(import_id)
        self._to("undoing", import_id, entry_id, entry)

    def _to(self, state: str, import_id: str, entry_id: str, entry: bytes) -> None:
        outbox = self.keys.outbox(import_tag(import_id))
        keys = [self.keys.import_state(import_id), self.keys.import_rows(import_id), outbox]
        self._link.run(COMMIT, keys, [state, entry_id, entry, KEPT_FOR])

    def find(self, import_id: str) -> ImportManifest | None:
        """Return an import, or `None` if there is none with this ID. Raises: NewerSchema."""
        fields = dict(field_pairs(self._call(b"HGETALL", self.keys.import_state(import_id))))
        if b"state" not in fields:
            return None
        if int(fields[b"schema"]) > SCHEMA:
            raise NewerSchema(f"an import of schema {int(fields[b'schema'])}, this service knows {SCHEMA}")
        planned = msgspec.json.decode(fields[b"planned"])
        return ImportManifest(
            id=import_id,
            kind=fields.get(b"kind", GRANT_IMPORT.encode()).decode(),
            state=cast(State, fields[b"state"].decode()),
            rows=int(fields[b"rows"]),
            actor=Actor(**msgspec.json.decode(fields[b"actor"])),
            created_at=int(fields[b"created"]),
            entry=fields[b"entry"].decode(),
            undo=fields[b"undo"].decode() if b"undo" in fields else None,
            chunks=int(fields[b"chunks"]),
            cursor=int(fields[b"cursor"]),
            planned=planned,
            counted={name: int(fields.get(name.encode(), b"0")) for name in (*planned, *COUNTED)},
            approval=fields[b"approval"].decode() if b"approval" in fields else None,
            about=msgspec.json.decode(fields.get(b"about", b"{}")),
        )

    def list_open(self) -> list[str]:
        """Return the imports that are staged or unfinished; finished or deleted ones can be among them."""
        return sorted(name.decode() for name in self._call(b"SMEMBERS", self._open))

    def count_open(self) -> dict[str, int]:
        """Return how many imports are staged or unfinished, by state."""
        keys = [self.keys.import_state(import_id) for import_id in self.list_open()]
        return Counter(state.decode() for state in self._read_each(b"HGET", keys, b"state") if state)

    def reopen(self, import_id: str) -> None:
        """Record that there is work to do for an import again."""
        self._call(b"SADD", self._open, import_id)

    def mark_finished(self, import_id: str) -> None:
        """Record that nothing is left to do for an import, unless it is undone later."""
        self._call(b"SREM", self._open, import_id)

    # The work.

    def acquire_turn(
        self,
        import_id: str,
        holder: str,
        lease: float,
        done: tuple[str, int] | None = None,
        rows: Sequence[Any] | None = None,
        counted: Mapping[str, int] | None = None,
    ) -> ImportTurn:
        """Acquire or renew the lease, and return what to do next.

        `done` is the state and the chunk that were worked on, `rows` that chunk as it is to be stored, `counted` its result.
        """
        state, chunk = done or ("", "")
        counters = [part for pair in (counted or {}).items() for part in pair]
        sealed = self._sealed(rows) if rows is not None else ""
        arguments: list[bytes | int | str] = [holder, int(lease * 1000), KEPT_FOR, state, chunk, sealed, *counters]
        reply = self._link.run(
            ACQUIRE_TURN, [self.keys.import_state(import_id), self.keys.import_rows(import_id)], arguments
        )
        return ImportTurn(holder, cast(Any, reply[0].decode()), int(reply[1]), int(reply[2]), reply[3])

    def release_turn(self, import_id: str, turn: ImportTurn) -> None:
        """Release the lease early, so that another process can continue at once; a later lease, with another end, stays."""
        self._link.run(FIELD, [self.keys.import_state(import_id)], ["lease", turn.until_ms, ""])

    def load_chunk(self, import_id: str, chunk: int, row_type: type[Row]) -> list[Row]:
        return self.unpack_rows(self._call(b"HGET", self.keys.import_rows(import_id), chunk), row_type)

    def unpack_rows(self, sealed: bytes | None, row_type: type[Row]) -> list[Row]:
        """Return the rows of a stored chunk. Raises: StoreError if it is missing, or was sealed with a secret that is gone."""
        text = self._sealer().open(sealed.decode("ascii", "replace")) if sealed else None
        if text is None:
            raise StoreError("a chunk of an import is missing, or was sealed under a secret that is gone")
        return msgspec.json.decode(zlib.decompress(text), type=list[row_type])  # type: ignore[valid-type]  # chosen by kind

    def rewrite_chunk(self, import_id: str, holder: str, state: State, chunk: int, rows: Sequence[Any]) -> bool:
        """Rewrite a chunk; return `False` if the lease is lost or the state is another one."""
        keys = [self.keys.import_state(import_id), self.keys.import_rows(import_id)]
        return bool(self._link.run(REWRITE_CHUNK, keys, [holder, state, chunk, self._sealed(rows)]))

    def _sealed(self, rows: Sequence[Any]) -> str:
        return self._sealer().seal(zlib.compress(encode_json(rows), 1))


@dataclass(frozen=True, slots=True)
class SourceWrite:
    """A source's record that is to replace its predecessor, in the record of the reader with this hash."""

    tag: bytes
    field: bytes
    number: int
    record: bytes
    place: Literal["reader", "past"]
    reader: str = ""
    """The reader's ID; empty if it is unknown, or in the record already."""


class ImportSourceWriter(StoreRecords):
    """Writes the sources of an import. Raises: StoreUnavailable."""

    def write_sources(
        self, writes: Sequence[SourceWrite], rule: Rule, turn: ImportTurn, cause: str, now: float
    ) -> list[SourceVerdict]:
        """Write sources, each independently, and return the verdicts; `cause` names the audit entry."""
        # In a cluster one script writes one reader, because they lie in different slots.
        in_cluster = self._link.is_cluster
        calls = []
        for batch in batched(writes, 1 if in_cluster else SOURCES_A_SCRIPT):
            named: list[bytes] = []
            arguments: list[bytes | int | str] = [HISTORY_ENTRIES, turn.until_ms, rule]
            for write in batch:
                named += [self.keys.reader(write.tag), self.keys.past(write.tag), self.keys.history(write.tag)]
                entry = pack_change(now, write.field, write.record, cause)
                arguments += [write.field, write.number, write.record, write.place, entry, write.reader]
            calls.append(ScriptCall(WRITE_SOURCES, tuple(named), tuple(arguments)))
        replies = self._link.run_all(calls) if in_cluster else [self._link.run(*call) for call in calls]
        return [cast(SourceVerdict, verdict.decode()) for reply in replies for verdict in reply]
