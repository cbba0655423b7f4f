"""Validate what a request, a form or a command brings; `InvalidFields` names every field at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError

from service.domain.errors import InvalidFields
from service.domain.ids import read_reader
from service.entrypoints.responses.fields import schema_of
from service.settings.validation import places

Value = TypeVar("Value")
Check = Callable[[dict[str, Any]], list[tuple[str, str]]]
"""What a schema cannot know about a body as it came: pairs of a field and a message."""


def read_field(name: str, read: Callable[[object], Value], value: object) -> Value:
    """Return one value by its reader, which raises `ValueError`. Raises: `InvalidFields`."""
    try:
        return read(value)
    except ValueError as error:
        raise InvalidFields([(name, str(error))]) from None


def reader_id(value: object, name: str = "reader") -> str:
    """Return a reader's ID. Raises: `InvalidFields`."""
    return read_field(name, read_reader, value)


def check(schema: type[Schema], value: Any, further: Check | None = None) -> dict[str, Any]:
    """Return a value as a schema loads it. Raises: `InvalidFields` with each field at fault once."""
    if not isinstance(value, dict):
        raise InvalidFields([("body", "must be an object")])
    loaded: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    try:
        loaded = schema_of(schema).load(value)
    except ValidationError as error:
        wrong = places(error.messages)
    named = {field for field, _ in wrong}
    wrong += [pair for pair in (further(value) if further else ()) if pair[0] not in named]
    if wrong:
        raise InvalidFields(wrong)
    return loaded
