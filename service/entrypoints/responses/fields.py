"""The types of the contract as marshmallow fields, strict: `"yes"` is no boolean and 7 is no id.

Each has a `read` that returns a value of the domain or raises `ValueError` with a sentence. marshmallow calls it, and so
does the access route (`compiled`), so that both accept the same and read it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from service.domain.ids import read_id, read_reader, read_reason, read_text
from service.domain.times import read_time


def read_bool(value: object) -> bool:
    """`true` or `false`, nothing that looks like it."""
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


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
