"""The types of the contract as marshmallow fields, strict: `"yes"` is no boolean and 7 is no id.

Each has a `read` that turns a JSON value into ours or raises `ValueError` with a sentence. marshmallow calls it, and so
does the hot route (`compiled`), so that both ways accept the same and read it alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from marshmallow import Schema, ValidationError, fields

# Control characters, characters that turn the direction of text, and halves of surrogate pairs.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """A text of somebody's for a terminal: what would colour, move or turn it is written out. Lines stay lines."""
    return _ODD.sub(lambda odd: odd[0] if odd[0] in "\n\t" else odd[0].encode("unicode_escape").decode(), text)


def read_id(value: object) -> str:
    """An id of the contract: 1-128 bytes of UTF-8, no control or direction characters, no space at either end."""
    if type(value) is not str:
        raise ValueError("must be a string")
    return _checked_id(value)


@lru_cache(maxsize=65_536)
def _checked_id(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    if _ODD.search(value):
        raise ValueError("must not hold control or direction characters")
    if value[0].isspace() or value[-1].isspace():
        raise ValueError("must not begin or end with a space")
    if len(value.encode()) > 128:
        raise ValueError("must have at most 128 bytes of UTF-8")
    return value


def read_reader(value: object) -> str:
    """A reader's id: an id without a slash."""
    text = read_id(value)
    if "/" in text:
        raise ValueError("must not hold a slash")
    return text


def read_time(value: object) -> float:
    """A moment with an offset, ISO 8601, as epoch seconds."""
    if type(value) is not str:
        raise ValueError("must be a time as a string, like 2026-11-20T09:00:00Z")
    return _checked_time(value)


# Python takes any character at all between date and time, and some more (a space before the offset, a bare point).
_DATE_AND_TIME = re.compile(r"[0-9W-]{7,10}[Tt ][0-9:]*[0-9]([.,][0-9]+)?([Zz]|[+-][0-9:]+)?")


@lru_cache(maxsize=16_384)
def _checked_time(value: str) -> float:
    if not _DATE_AND_TIME.fullmatch(value):
        raise ValueError("must be a date and a time, like 2026-11-20T09:00:00Z")
    try:
        moment = datetime.fromisoformat(value.replace("z", "Z"))  # RFC 3339 takes a small t and z
        aware = moment.tzinfo is not None
        seconds = moment.astimezone(UTC).timestamp() if aware else 0.0
    except (ValueError, OverflowError):
        raise ValueError("must be a time, like 2026-11-20T09:00:00Z") from None
    if not aware:
        raise ValueError("must say its offset: 2026-11-20T09:00:00Z or …+01:00")
    return seconds


def read_bool(value: object) -> bool:
    """`true` or `false`, nothing that looks like it."""
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


def read_text(value: object) -> str:
    """Any text that is UTF-8, of at most 8,192 characters."""
    if type(value) is not str:
        raise ValueError("must be a string")
    if len(value) > 8_192:
        raise ValueError("must have at most 8192 characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return value


def read_reason(value: object) -> str:
    """Why an admin does it: 1-1,000 characters, not only blanks."""
    text = read_text(value)
    if not text.strip():
        raise ValueError("must say why: 1 to 1000 characters, not only blanks")
    if len(text) > 1_000:
        raise ValueError("must have at most 1000 characters")
    return text


Reader = Callable[[object], Any]


class Read(fields.Field[Any]):
    """A field whose values are read by one function; the function is the rule."""

    def __init__(self, read: Reader, spec: Mapping[str, Any], **options: Any) -> None:
        super().__init__(metadata=dict(spec), **options)
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


_ID = {"type": "string", "minLength": 1, "maxLength": 128}


def identifier(**options: Any) -> Read:
    """A story's, a visitor's, a section's … id."""
    return Read(read_id, {**_ID, "example": "2026-harbour-contract"}, **options)


def reader_id(**options: Any) -> Read:
    """A reader's id."""
    return Read(read_reader, {**_ID, "example": "r-1042"}, **options)


def moment(**options: Any) -> Read:
    """A time with an offset."""
    return Read(read_time, {"type": "string", "format": "date-time", "example": "2026-11-20T09:00:00Z"}, **options)


def flag(**options: Any) -> Read:
    """A boolean."""
    return Read(read_bool, {"type": "boolean"}, **options)


def text(**options: Any) -> Read:
    """Any text."""
    return Read(read_text, {"type": "string", "maxLength": 8_192}, **options)


def reason(**options: Any) -> Read:
    """A reason for an admin change."""
    return Read(read_reason, {"type": "string", "minLength": 1, "maxLength": 1_000, "example": "press card"}, **options)


class Unsure(Exception):
    """The quick reader met what it does not take; the schema will say what it is."""


def compiled(schema: Schema) -> Callable[[object], dict[str, Any]]:
    """A quick reader of what a schema of `Read`, lists of them and nested such schemas takes.

    It gives what `schema.load` gives, without the fields that are null; `Unsure` for all that is not plainly right.
    """
    named = [(field.data_key or name, name, field) for name, field in schema.fields.items()]
    readers = {given: (name, _reader_of(field)) for given, name, field in named}
    nullable = {given for given, _, field in named if field.allow_none}
    required = [name for name, field in schema.fields.items() if field.required]

    def read(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise Unsure
        found: dict[str, Any] = {}
        for name, part in value.items():
            if part is None and name in nullable:
                continue
            known = readers.get(name)
            if known is None:
                raise Unsure
            try:
                found[known[0]] = known[1](part)
            except ValueError:
                raise Unsure from None
        for name in required:
            if name not in found:
                raise Unsure
        return found

    return read


def _reader_of(field: fields.Field[Any]) -> Reader:
    if isinstance(field, Read):
        return field.read
    if isinstance(field, fields.Nested):
        return compiled(field.schema)
    if isinstance(field, fields.List):
        inner = _reader_of(field.inner)

        def read_list(value: object) -> list[Any]:
            if type(value) is not list:
                raise Unsure
            return [inner(part) for part in value]

        return read_list
    raise TypeError(f"{type(field).__name__} has no quick reader")
