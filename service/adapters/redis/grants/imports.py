"""Imports in the store: rows staged in chunks, one key that commits, a lease on the work, and what an undo needs.

All of an import lies in one slot, with an audit outbox of its own. A chunk is sealed: a row names its reader, and its reason
can name anybody. When a chunk is done, both are deleted and what an undo needs stays, with the hash of the reader's ID.

    row      [tag, action, grant, number, old end, plan, end, reason, reader]
    action   "new" | "extended" | "unchanged" | "skipped"
    number   of the grant before the import changes it (0: there is none), so that only its successor is ever written

The process that does the work holds a lease by the store's own clock, and every write carries the end of the lease: a late one
is refused. So two processes never work on the same import, however long one of them was stopped.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from service.adapters.crypto import Sealer
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import import_tag
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.readers.readers import HISTORY_ENTRIES, field_pairs
from service.adapters.redis.records import StoreRecords
from service.domain.errors import NewerSchema

TURN, STATE = load("acquire_import_turn"), load("commit_import")
KEEP, PUT = load("rewrite_import_chunk"), load("write_import_grants")

SCHEMA = 1
STAGED_FOR = 31 * 86_400
"""Seconds for which an uncommitted import is kept: a second admin has 30 days to approve it."""
KEPT_FOR = 400 * 86_400
"""Seconds for which an import can be shown and undone."""

State = Literal["staged", "applying", "done", "undoing", "undone"]
Action = Literal["new", "extended", "unchanged", "skipped"]
GrantVerdict = Literal["applied", "conflict", "merged", "erased", "late"]
GRANTS_A_SCRIPT = 20
"""Grants written by one script: more of them delay access checks, fewer cost more flushes to disk."""
COUNTERS = ("new", "extended", "unchanged", "skipped", "taken_back", "left_alone")

_json = msgspec.json.Encoder()


class ImportRow(msgspec.Struct, array_like=True):
    """What is to be done, or was done, for one reader."""

    tag: str
    action: Action
    grant: str | None
    number: int
    old: int | None
    plan: str | None
    until: int | None
    reason: str | None = None
    reader: str | None = None
    """The ID of the reader with this tag; `None` when it is done, or if a former release staged it."""


_rows = msgspec.json.Decoder(list[ImportRow])


@dataclass(frozen=True, slots=True)
class ImportManifest:
    """An import as a whole.

    `planned` counts what was planned, `counted` what was done; `entry` is the ID of its audit entry.
    """

    id: str
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


@dataclass(frozen=True, slots=True)
class GrantWrite:
    """A grant's record that is to replace its predecessor."""

    tag: bytes
    field: bytes
    number: int
    record: bytes
    place: Literal["reader", "past"]
    reader: str = ""
    """The reader's ID; empty if it is unknown, or in the record already."""


class ImportStore(StoreRecords):
    """Stores imports. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, sealer: Callable[[], Sealer], erased: ErasedReaders) -> None:
        super().__init__(store)
        self._erased = erased
        self._sealer = sealer
        self._open = store.keys.shared("imports")
        self.index = ReaderIndex(store)

    # Staging, before anything takes effect.

    def stage_chunk(self, import_id: str, chunk: int, rows: Sequence[ImportRow]) -> None:
        key = self.keys.import_rows(import_id)
        sealed = self._sealed(rows)
        self._link.pipeline([(key, (b"HSET", key, chunk, sealed)), (key, (b"EXPIRE", key, STAGED_FOR))])

    def stage_manifest(self, manifest: ImportManifest) -> None:
        """Store the manifest: the last step before the import can be committed."""
        key = self.keys.grant_import(manifest.id)
        said: dict[str, bytes | int | str] = {
            "schema": SCHEMA,
            "state": manifest.state,
            "rows": manifest.rows,
            "actor": _json.encode({"name": manifest.actor.name, "from_ip": manifest.actor.from_ip}),
            "created": manifest.created_at,
            "entry": manifest.entry,
            "chunks": manifest.chunks,
            "cursor": manifest.cursor,
            "planned": _json.encode(manifest.planned),
        }
        parts = [part for pair in said.items() for part in pair]
        self._link.pipeline([(key, (b"HSET", key, *parts)), (key, (b"EXPIRE", key, STAGED_FOR))])
        # From here on the search for work finds the import, and so does the erasure of a reader.
        self._call(b"SADD", self._open, manifest.id)

    def discard(self, import_id: str) -> None:
        """Delete what was staged and will not be committed."""
        for key in (self.keys.grant_import(import_id), self.keys.import_rows(import_id)):
            self._call(b"DEL", key)
        self.mark_finished(import_id)

    def save_approval(self, import_id: str, approval: str) -> None:
        self._call(b"HSET", self.keys.grant_import(import_id), b"approval", approval)

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
        keys = [self.keys.grant_import(import_id), self.keys.import_rows(import_id), outbox]
        self._link.run(STATE, keys, [state, entry_id, entry, KEPT_FOR])

    def find(self, import_id: str) -> ImportManifest | None:
        """Return an import, or `None` if there is none with this ID. Raises: NewerSchema."""
        said = dict(field_pairs(self._call(b"HGETALL", self.keys.grant_import(import_id))))
        if b"state" not in said:
            return None
        if int(said[b"schema"]) != SCHEMA:
            raise NewerSchema(f"an import of schema {int(said[b'schema'])}, this service knows {SCHEMA}")
        return ImportManifest(
            id=import_id,
            state=cast(State, said[b"state"].decode()),
            rows=int(said[b"rows"]),
            actor=Actor(**msgspec.json.decode(said[b"actor"])),
            created_at=int(said[b"created"]),
            entry=said[b"entry"].decode(),
            undo=said[b"undo"].decode() if b"undo" in said else None,
            chunks=int(said[b"chunks"]),
            cursor=int(said[b"cursor"]),
            planned=msgspec.json.decode(said[b"planned"]),
            counted={name: int(said.get(name.encode(), b"0")) for name in COUNTERS},
            approval=said[b"approval"].decode() if b"approval" in said else None,
        )

    def list_open(self) -> list[str]:
        """Return the imports that are staged or unfinished; finished or deleted ones can be among them."""
        return sorted(bytes(name).decode() for name in self._call(b"SMEMBERS", self._open))

    def count_open(self) -> dict[str, int]:
        """Return how many imports are staged or unfinished, by state."""
        keys = [self.keys.grant_import(import_id) for import_id in self.list_open()]
        states = self._link.read([(key, (b"HGET", key, b"state")) for key in keys]) if keys else []
        return Counter(state.decode() for state in states if state)

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
        rows: Sequence[ImportRow] | None = None,
        counted: dict[str, int] | None = None,
    ) -> ImportTurn:
        """Acquire or renew the lease, and return what to do next.

        `done` is the state and the chunk that were worked on, `rows` that chunk as it is to be stored, `counted` its result.
        """
        state, chunk = done or ("", "")
        counters = [part for pair in (counted or {}).items() for part in pair]
        sealed = self._sealed(rows) if rows is not None else ""
        arguments: list[bytes | int | str] = [holder, int(lease * 1000), KEPT_FOR, state, chunk, sealed, *counters]
        reply = self._link.run(TURN, [self.keys.grant_import(import_id), self.keys.import_rows(import_id)], arguments)
        return ImportTurn(holder, cast(Any, reply[0].decode()), int(reply[1]), int(reply[2]), reply[3])

    def release_turn(self, import_id: str, holder: str) -> None:
        """Release the lease early, so that another process can continue at once."""
        key = self.keys.grant_import(import_id)
        if self._call(b"HGET", key, b"holder") == holder.encode():
            self._call(b"HDEL", key, b"holder", b"lease")

    def load_chunk(self, import_id: str, chunk: int) -> list[ImportRow]:
        return self.unpack_rows(self._call(b"HGET", self.keys.import_rows(import_id), chunk))

    def unpack_rows(self, sealed: bytes | None) -> list[ImportRow]:
        """Return the rows of a stored chunk. Raises: StoreError if it is missing, or was sealed with a secret that is gone."""
        text = self._sealer().open(bytes(sealed).decode("ascii", "replace")) if sealed else None
        if text is None:
            raise StoreError("a chunk of an import is missing, or was sealed under a secret that is gone")
        return _rows.decode(zlib.decompress(text))

    def rewrite_chunk(self, import_id: str, holder: str, state: State, chunk: int, rows: Sequence[ImportRow]) -> bool:
        """Rewrite a chunk; return `False` if the lease is lost or the state is another one."""
        keys = [self.keys.grant_import(import_id), self.keys.import_rows(import_id)]
        return bool(self._link.run(KEEP, keys, [holder, state, chunk, self._sealed(rows)]))

    def write_grants(
        self, puts: Sequence[GrantWrite], turn: ImportTurn, staged_at: int, cause: str, now: float
    ) -> list[GrantVerdict]:
        """Write grants, each independently, and return the verdicts; `cause` names the audit entry.

        Readers who were erased since the import was staged get none. An erasure that begins after that was looked up waits
        for this import (`remove_reader`).
        """
        said: list[bytes | int | str] = [source_codec.SCHEMA, int(now), int(now * 1000) % 1000, cause]
        said += [HISTORY_ENTRIES, turn.until_ms]
        moments = self._erased.load_moments([put.tag for put in puts])
        erased = [moment is not None and moment >= staged_at for moment in moments]
        due = [put for put, is_erased in zip(puts, erased, strict=True) if not is_erased]
        parts = [due[start : start + GRANTS_A_SCRIPT] for start in range(0, len(due), GRANTS_A_SCRIPT)]
        replies = iter([verdict for part in parts for verdict, _ in self._put(part, said)])
        return ["erased" if is_erased else cast(GrantVerdict, next(replies).decode()) for is_erased in erased]

    def _put(self, puts: Sequence[GrantWrite], said: Sequence[bytes | int | str]) -> list[Any]:
        """Write by one script; in a cluster by one script a reader, because they lie in different slots."""
        if self._link.address.kind != "cluster":
            return cast("list[Any]", self._link.run(PUT, *self._asked(puts, said)))
        asked = [self._asked([put], said) for put in puts]
        try:
            replies = self._link.pipeline([(keys[0], (b"EVALSHA", PUT.sha, 3, *keys, *args)) for keys, args in asked])
        except StoreError:
            # A restarted server does not know the script; `run` loads it. Each write can be repeated.
            replies = [self._link.run(PUT, keys, args) for keys, args in asked]
        return [verdict for reply in replies for verdict in reply]

    def _asked(
        self, puts: Sequence[GrantWrite], said: Sequence[bytes | int | str]
    ) -> tuple[list[bytes], list[bytes | int | str]]:
        named: list[bytes] = []
        arguments = list(said)
        keys = self.keys
        for put in puts:
            named += [keys.reader(put.tag), keys.past(put.tag), keys.history(put.tag)]
            arguments += [put.field, put.number, put.record, put.place, put.reader]
        return named, arguments

    def _sealed(self, rows: Sequence[ImportRow]) -> str:
        return self._sealer().seal(zlib.compress(_json.encode(rows), 1))
