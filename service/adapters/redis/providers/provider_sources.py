"""The sources of each provider: whose each is now, and as what it was last reported.

A reader's record holds the source itself. Only here it can be found by its provider and ID, so this is what a report is
compared with: a source that moves to another reader, and one that is missing from a snapshot.

    {provider:<name>}state      hash: `number` of the last report, and of the last snapshot `import`, `at` and `refused`
    {provider:<name>}sources:…  hash, by partition of the ID: ID → [1, n, tag, plan, start, until, ended_at]

`tag` is the hash of the reader's ID when the source was written; they may have been merged since (`find_heirs`). `n` orders the
reports of a provider, and is also the number of the source in the reader's record. So a late write never replaces a newer
report. No reader's ID is stored here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from service.adapters.batches import batched
from service.adapters.redis.client.keys import PROVIDER_PARTITIONS, READER_TAG
from service.adapters.redis.client.scripts import ScriptCall, load
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords, encode_json
from service.domain.errors import NewerSchema
from service.domain.sources import External

NUMBER, WRITE, FIELD = load("next_provider_number"), load("write_provider_sources"), load("replace_field")

SCHEMA = 1
PARTITIONS_A_READ = 16


class ProviderSource(msgspec.Struct, array_like=True, frozen=True):
    """A source as it was last reported. `tag` is the hash of the reader who had it then; times are epoch seconds."""

    schema: int
    number: int
    tag: str
    plan: str
    start: int
    until: int | None
    ended_at: int | None

    def is_running_at(self, now: float) -> bool:
        """Return whether it has not ended at `now`."""
        return self.ended_at is None and (self.until is None or now < self.until)

    def as_source(self, provider: str, external_id: str) -> External:
        """Return the source as the reader's record holds it."""
        return External(f"{provider}:{external_id}", self.plan, self.start, self.until, self.ended_at)


class SnapshotRefusal(NamedTuple):
    """A snapshot that was refused: when (epoch seconds), and how many of the running sources it would have ended."""

    at: int
    ending: int
    running: int


class SnapshotState(NamedTuple):
    """The last snapshot: its import, when it was committed (epoch seconds), and the one that was refused since."""

    import_id: str | None
    at: int | None
    refused: SnapshotRefusal | None


_decode = msgspec.json.Decoder(ProviderSource).decode


def entry_of(source: External, number: int, tag: bytes) -> ProviderSource:
    """Return the entry of a source that the reader with this hash has."""
    return ProviderSource(SCHEMA, number, tag.decode(), source.plan, source.start, source.until, source.ended_at)


class ProviderSources(StoreRecords):
    """Reads and writes the sources of providers. Raises: StoreUnavailable from every method."""

    def list_providers(self) -> set[str]:
        """Return the names of all providers that ever reported something; it scans the keys of the store."""
        pages = self._link.scan_nodes(self.keys.provider("*", "state"))
        return {self.keys.split(key)[0].decode().removeprefix("provider:") for page in pages for key in page}

    def next_number(self, provider: str) -> int:
        return int(self._link.run(NUMBER, [self.keys.provider(provider, "state")], []))

    def find(self, provider: str, external_id: str) -> ProviderSource | None:
        """Return the source with this ID, running or ended."""
        return _unpack(self._read_one(b"HGET", self._key(provider, external_id), external_id.encode()))

    def find_many(self, provider: str, external_ids: Sequence[str]) -> dict[str, ProviderSource]:
        """Return those of these sources that exist, by ID."""
        keys = [self._key(provider, name) for name in external_ids]
        asked = [(key, (b"HGET", key, name.encode())) for key, name in zip(keys, external_ids, strict=True)]
        replies = zip(external_ids, self._link.read(asked), strict=True)
        return {name: entry for name, stored in replies if (entry := _unpack(stored)) is not None}

    def load_partitions(self, provider: str, numbers: Sequence[int]) -> list[dict[str, ProviderSource]]:
        """Return the sources of these partitions, each by ID."""
        keys = [self.keys.provider(provider, f"sources:{number}") for number in numbers]
        replies = self._read_each(b"HGETALL", keys)
        found = [[(field.decode(), _unpack(value)) for field, value in field_pairs(reply)] for reply in replies]
        return [{name: entry for name, entry in pairs if entry is not None} for pairs in found]

    def iterate(self, provider: str) -> Iterator[dict[str, ProviderSource]]:
        """Yield all sources of a provider, a partition at a time."""
        for numbers in batched(range(PROVIDER_PARTITIONS), PARTITIONS_A_READ):
            yield from self.load_partitions(provider, numbers)

    def write(self, provider: str, entries: Mapping[str, ProviderSource]) -> dict[str, ProviderSource | None]:
        """Write entries by ID, unless a newer one is stored. Return the entries that were replaced, or are newer."""
        by_key: dict[bytes, list[str]] = {}
        for name in entries:
            by_key.setdefault(self._key(provider, name), []).append(name)
        rows = {name: (name, entry.number, encode_json(entry)) for name, entry in entries.items()}
        calls = [
            ScriptCall(WRITE, (key,), tuple(part for name in names for part in rows[name]))
            for key, names in by_key.items()
        ]
        found: dict[str, ProviderSource | None] = {}
        for names, replies in zip(by_key.values(), self._link.run_all(calls), strict=True):
            found |= {name: _unpack(reply) for name, reply in zip(names, replies, strict=True)}
        return found

    def remove_reader(self, sources: Collection[External], tags: Collection[bytes]) -> None:
        """Remove those of these sources that a reader with one of these hashes has."""
        for source in sources:
            provider, _, name = source.id.partition(":")
            key = self._key(provider, name)
            stored = self._read_one(b"HGET", key, name.encode())
            entry = _unpack(stored)
            if entry is not None and entry.tag.encode() in tags:
                self._link.run(FIELD, [key], [name, stored, b""])

    def find_heirs(self, tags: Collection[bytes]) -> dict[bytes, tuple[bytes, str]]:
        """Return those of these readers who were merged into another, with that one's hash and ID."""
        asked = list(tags)
        heirs = self._read_one(b"HMGET", self.keys.merge_heirs, *asked) if asked else []
        return {
            tag: (heir[:READER_TAG], heir[READER_TAG:].decode())
            for tag, heir in zip(asked, heirs, strict=True)
            if heir is not None
        }

    # Snapshots.

    def load_snapshot_state(self, provider: str) -> SnapshotState:
        """Return what is known of the last snapshot."""
        key = self.keys.provider(provider, "state")
        last, at, refused = self._read_one(b"HMGET", key, b"import", b"at", b"refused")
        return SnapshotState(
            import_id=last.decode() if last else None,
            at=int(at) if at else None,
            refused=SnapshotRefusal(*msgspec.json.decode(refused)) if refused else None,
        )

    def replace_last_snapshot(self, provider: str, seen: str | None, import_id: str) -> bool:
        """Make an import the last snapshot if `seen` still is; else another one came between."""
        key = self.keys.provider(provider, "state")
        return bool(self._link.run(FIELD, [key], ["import", seen or "", import_id]))

    def save_snapshot_time(self, provider: str, now: float) -> None:
        """Record that a snapshot was committed."""
        key = self.keys.provider(provider, "state")
        self._link.pipeline([(key, (b"HSET", key, b"at", int(now))), (key, (b"HDEL", key, b"refused"))])

    def save_refusal(self, provider: str, refusal: SnapshotRefusal) -> None:
        """Record that a snapshot was refused, because it would have ended too much."""
        self._call(b"HSET", self.keys.provider(provider, "state"), b"refused", encode_json(refusal))

    def _key(self, provider: str, external_id: str) -> bytes:
        return self.keys.provider(provider, f"sources:{partition_of_source(external_id)}")


def partition_of_source(external_id: str) -> int:
    return crc32(external_id.encode()) % PROVIDER_PARTITIONS


def _unpack(stored: bytes | None) -> ProviderSource | None:
    if not stored:
        return None
    if not stored.startswith(b"[%d," % SCHEMA):
        raise NewerSchema(f"a provider's source of another schema than {SCHEMA}, which this service knows")
    return _decode(stored)
