"""Links of an import: the rows, what is linked already, and the scripts that link an object and undo it.

A row names the reader only until it is done. What an undo needs is stored with the object (`lua/link_imported_object.lua`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import msgspec

from service.adapters.redis.client.keys import partition_of, reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import Script, ScriptCall, load
from service.adapters.redis.imports.import_store import ImportTurn
from service.adapters.redis.readers.readers import ALIAS
from service.adapters.redis.records import StoreRecords
from service.adapters.redis.stripe_objects.objects import ms

LINK, UNLINK = load("link_imported_object"), load("unlink_imported_object")

LINK_IMPORT = "links"
"""The kind of an import of links."""
MOST_IMPORTS = 20
"""The most imports of one object that can be undone: the last ones."""

LinkVerdict = Literal["new", "changed", "unchanged", "late"]
UnlinkVerdict = Literal["taken_back", "left_alone", "late"]


unpack_imports, pack_imports = msgspec.json.Decoder(list[list[str]]).decode, msgspec.json.Encoder().encode
"""The field `imports` of an object: [import, the link before it] or [import]."""


class LinkRow(msgspec.Struct, array_like=True):
    """What is to be done, or was done, for one object, such as `customer:cus_1`."""

    action: Literal["new", "changed", "unchanged", "skipped"]
    name: str
    reader: str | None
    """`None` when the row is done."""


class LinkState(NamedTuple):
    """The reader to whom an object is linked, and the ID of the reader in its row after merges."""

    link: str | None
    heir: str


class LinkImportWriter(StoreRecords):
    """Reads and writes links. Raises: StoreUnavailable from every method."""

    def load_states(self, pairs: Sequence[tuple[str, str]]) -> list[LinkState]:
        """Return the state of each object and reader, in one round trip, and one more for each merge."""
        commands: list[Command] = []
        for name, reader in pairs:
            key, hot = self.keys.stripe_object(name), self.keys.reader(reader_hash(reader))
            commands += [(key, (b"HGET", key, b"link")), (hot, (b"HGET", hot, ALIAS))]
        replies = iter(self._link.read(commands))
        return [
            LinkState(link.decode() if link else None, self._follow(heir.decode()) if heir else reader)
            for (_, reader), link, heir in zip(pairs, replies, replies, strict=True)
        ]

    def _follow(self, reader: str) -> str:
        """Return the reader whom this one was merged into, or this one."""
        heir = self._read_one(b"HGET", self.keys.reader(reader_hash(reader)), ALIAS)
        return self._follow(heir.decode()) if heir else reader

    def link_objects(
        self, pairs: Sequence[tuple[str, str]], turn: ImportTurn, import_id: str, now: float
    ) -> list[LinkVerdict]:
        arguments = (turn.until_ms, import_id, MOST_IMPORTS, ms(now))
        calls = [self._call_on(LINK, name, (*arguments, name, reader)) for name, reader in pairs]
        return [cast(LinkVerdict, verdict.decode()) for verdict in self._link.run_all(calls)]

    def undo_links(self, names: Sequence[str], turn: ImportTurn, import_id: str, now: float) -> list[UnlinkVerdict]:
        """Undo what an import did to the link of each object."""
        calls = [self._call_on(UNLINK, name, (turn.until_ms, import_id, ms(now), name)) for name in names]
        return [cast(UnlinkVerdict, verdict.decode()) for verdict in self._link.run_all(calls)]

    def _call_on(self, script: Script, name: str, arguments: tuple[str | int, ...]) -> ScriptCall:
        return ScriptCall(
            script, (self.keys.stripe_object(name), self.keys.fan_out_queue(partition_of(name))), arguments
        )
