"""A reader's ID in text about another person: in the reason of another reader's grant, or of a story pass.

Erasing a reader replaces the ID by `(erased)` there. Reasons are the only free text. Grants keep them in the record and in
the history, a pass in its `doc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from service.adapters.redis.client.link import Command, Link
from service.adapters.redis.client.scripts import load
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import decode_list, encode_json
from service.domain.errors import NewerSchema
from service.domain.sources import Grant

FIELD, ITEM = load("replace_field"), load("replace_list_item")
REPLACEMENT = "(erased)"


def name_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches a name as a whole word, so that the reader `7` is not found in every date."""
    return re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, names)) + r")(?![\w-])")


def without_names(reason: str, names: Sequence[str]) -> str:
    """Return a reason without these names; without names as it is."""
    return name_pattern(names).sub(REPLACEMENT, reason) if names else reason


class IdMentions:
    """Removes names from reasons. Raises: StoreUnavailable; a call can be repeated after a failure."""

    def __init__(self, link: Link, names: Sequence[str]) -> None:
        self._link = link
        self._word = name_pattern(names)
        # The part of each name that JSON does not escape: most records do not contain it and need no decoding.
        self._plain = [max(re.split(r'["\\\\]', name), key=len).encode() for name in names]

    def redact(self, hashes: Sequence[bytes], lists: Sequence[bytes]) -> int:
        """Redact records and passes (hashes) and histories (lists), and return the number of reasons that were changed."""
        commands: list[Command] = [(key, (b"HGETALL", key)) for key in hashes]
        commands += [(key, (b"LRANGE", key, b"0", b"-1")) for key in lists]
        replies = self._link.read(commands)
        done = 0
        for key, reply in zip(hashes, replies[: len(hashes)], strict=True):
            for field, value in field_pairs(reply):
                if (cleaned := self._record(field, value)) is not None:
                    done += self._link.run(FIELD, [key], [field, value, cleaned])
        for key, entries in zip(lists, replies[len(hashes) :], strict=True):
            for entry, cleaned in self._entries(entries):
                self._link.run(ITEM, [key], [entry, cleaned])
        return done

    def _record(self, field: bytes, value: bytes) -> bytes | None:
        """Return the record with the names replaced in its reason, or `None` if no name is in it."""
        if not any(part in value for part in self._plain):
            return None
        if field == b"doc":
            return self._pass(value)
        if field[:2] != b"g:":
            return None
        try:
            grant = source_codec.decode(field, value)
        except (NewerSchema, ValueError):
            return None
        if not isinstance(grant, Grant) or not self._word.search(grant.reason):
            return None
        return source_codec.encode(
            replace(grant, reason=self._word.sub(REPLACEMENT, grant.reason)), source_codec.number_of(value)
        )

    def _pass(self, value: bytes) -> bytes | None:
        schema, story, reason, *rest = decode_list(value)
        cleaned = self._word.sub(REPLACEMENT, reason)
        return None if cleaned == reason else encode_json([schema, story, cleaned, *rest])

    def _entries(self, entries: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for entry in entries:
            if not any(part in entry for part in self._plain):
                continue
            schema, at, field, record, *rest = decode_list(entry)
            cleaned = self._record(field.encode(), record.encode()) if record is not None else None
            if cleaned is not None:
                yield entry, encode_json([schema, at, field, cleaned.decode(), *rest])
