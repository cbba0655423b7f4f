"""The types of the contract as marshmallow fields, writers compiled from a schema of them, and validation.

Requests are strict: `"yes"` is not a boolean and 7 is not an ID. A field of a request has a `read`, which returns a value
of the domain or raises `ValueError` with a sentence; a field of an answer that is not written as it is has a `write`.
marshmallow calls them, and `compile_writer` calls `write` for the access route, so that both do the same.
`check` and `read_field` validate what a request, a form or a command brings; `InvalidFields` names every field at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, TypeVar

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing

from service.domain.decision import NextStep
from service.domain.errors import InvalidFields
from service.domain.ids import read_customer, read_id, read_reader, read_reason, read_subscription, read_text
from service.domain.times import read_time, write_time
from service.settings.validation import places


class RequestSchema(Schema):
    """A request body; an unknown field is an error, which is marshmallow's default."""


JsonObject = dict[str, Any]


class ResponseSchema(Schema):
    """An answer: `write` returns it from an object or a mapping that has its fields, and `/openapi.json` describes it."""

    class Meta:
        unknown = EXCLUDE  # `/openapi.json` allows further fields, so that an answer can gain some.

    @classmethod
    def write(cls, value: Any) -> JsonObject:
        """Return the answer as JSON values. A field that is not required is left out where the object lacks it."""
        found: JsonObject = schema_of(cls).dump(value)
        return found

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return an attribute of the object.

        Raises:
            AttributeError: The object lacks a required field; marshmallow alone would leave it out.
        """
        value = super().get_attribute(obj, attr, default)
        if value is missing and any(f.required and attr == (f.attribute or name) for name, f in self.fields.items()):
            raise AttributeError(f"{type(obj).__name__} has no {attr} for {type(self).__name__}")
        return value


@lru_cache
def schema_of(kind: type[Schema]) -> Schema:
    """Return the instance of a schema that all of a process share."""
    return kind()


# ------------------------------------------------------------------------------------------------------ of requests


def read_bool(value: object) -> bool:
    """Return `true` or `false`; nothing else is a boolean."""
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


Reader = Callable[[object], Any]


class Read(fields.Field[Any]):
    """A field whose values one function reads; `spec` is its type in `/openapi.json`."""

    def __init__(self, read: Reader, spec: Mapping[str, Any], **options: Any) -> None:
        super().__init__(metadata=dict(spec), **options)
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


_ID = {"type": "string", "minLength": 1, "maxLength": 128}


identifier = partial(Read, read_id, {**_ID, "example": "2026-harbour-contract"})
"""The ID of a story, a visitor, a section, …"""

reader_id = partial(Read, read_reader, {**_ID, "example": "r-1042"})

moment = partial(Read, read_time, {"type": "string", "format": "date-time", "example": "2026-11-20T09:00:00Z"})
"""A time with an offset."""

flag = partial(Read, read_bool, {"type": "boolean"})

text = partial(Read, read_text, {"type": "string", "maxLength": 8_192})


def whole_number(most: int, example: int, **options: Any) -> Read:
    """Return a field for a whole number from 1 to `most`."""

    def read(value: object) -> int:
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"must be a whole number from 1 to {most}")
        return value

    return Read(read, {"type": "integer", "minimum": 1, "maximum": most, "example": example}, **options)


def word(wrong: Callable[[str], str | None], spec: Mapping[str, Any], **options: Any) -> Read:
    """Return a field for a text of which `wrong` returns what is wrong with it."""

    def read(value: object) -> str:
        text = read_text(value)
        if message := wrong(text):
            raise ValueError(message)
        return text

    return Read(read, {"type": "string", **spec}, **options)


customer_id = partial(Read, read_customer, {**_ID, "pattern": "^cus_[A-Za-z0-9_]+$", "example": "cus_NffrFeUfNV2Hib"})

subscription_id = partial(
    Read, read_subscription, {**_ID, "pattern": "^sub_[A-Za-z0-9_]+$", "example": "sub_1MowQVLkdIwHu7ix"}
)

reason = partial(Read, read_reason, {"type": "string", "minLength": 1, "maxLength": 1_000, "example": "press card"})
"""An admin's reason for a change."""


class ReasonIn(RequestSchema):
    reason = reason(required=True)


class ReasonMaybeIn(RequestSchema):
    reason = reason(allow_none=True)


class NothingIn(RequestSchema):
    """A body without fields, which can be left out."""


# ------------------------------------------------------------------------------------------------------- of answers

Writer = Callable[[Any], Any]


class _Written(fields.Field[Any]):
    """A field that is written by its `write`."""

    write: Writer

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return self.write(value)


class UtcTime(_Written, fields.String):
    """A moment in epoch seconds, written as `2026-11-20T09:00:00Z`."""

    write = staticmethod(lru_cache(maxsize=8_192)(write_time))

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"format": "date-time", "example": "2026-11-20T09:00:00Z"}, **options)


class Parts(_Written, fields.Dict):
    """The parts of a story: pairs of a name and whether it is open, written as `{"facts": "open", "photos": "locked"}`."""

    @staticmethod
    def write(parts: Any) -> dict[str, str]:
        """Return the parts as the contract writes them."""
        return {part: "open" if opened else "locked" for part, opened in parts}


class FeatureNames(_Written, fields.List[str]):
    """The features held: pairs of a name and an end, of which the names are written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(fields.String(), **options)

    @staticmethod
    def write(held: Any) -> list[str]:
        """Return the names."""
        return [name for name, _ in held]


class NextSteps(_Written, fields.List[Any]):
    """What would open a story: each step with the fields that are set, described by `schema`."""

    def __init__(self, schema: type[ResponseSchema], **options: Any) -> None:
        super().__init__(fields.Nested(schema), **options)

    @staticmethod
    def write(steps: Any) -> list[JsonObject]:
        """Return the steps as the contract writes them."""
        return [_written_step(step) for step in steps]


def _written_step(step: NextStep) -> JsonObject:
    if step.step == "sign_in":
        return {"step": step.step, "verified": step.verified}
    if step.step == "subscribe":
        return {"step": step.step, "plans": list(step.plans or ())}
    return {"step": step.step} if step.until is None else {"step": step.step, "until": UtcTime.write(step.until)}


_MOMENTS = frozenset({"until", "resets_at", "at", "from"})


class StepValues(_Written, fields.Dict):
    """The values of a step of an explanation; those named `until`, `resets_at`, `at` and `from` are moments."""

    @classmethod
    def write(cls, values: Any) -> Any:
        """Return the values with every moment written as a time."""
        if isinstance(values, dict):
            return {
                name: UtcTime.write(value) if name in _MOMENTS and isinstance(value, int | float) else cls.write(value)
                for name, value in values.items()
            }
        return [cls.write(value) for value in values] if isinstance(values, list) else values


class Rows(fields.List[Any]):
    """Objects from rows of values, in the order of the schema's fields; or from a mapping of such values to a count."""

    def __init__(self, schema: type[ResponseSchema], **options: Any) -> None:
        super().__init__(fields.Nested(schema), **options)
        self.schema = schema_of(schema)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> list[Any]:
        rows = value
        if isinstance(value, Mapping):
            keys = (key if isinstance(key, tuple) else (key,) for key in value)
            rows = [(*(part or None for part in key), count) for key, count in zip(keys, value.values(), strict=True)]
        return [self.schema.dump(dict(zip(self.schema.fields, row, strict=True))) for row in rows]


class Shared(fields.Nested):
    """A nested answer that many answers share, such as an offer: the compiled writer encodes each object once.

    The objects are compared by identity, so their class has `eq=False`.
    """


def compile_writer(schema: Schema) -> Callable[[Any], dict[str, Any]]:
    """Return a fast writer for a schema of answers: it returns what `schema.dump` returns.

    The writer is one Python expression, as one would write it by hand: `lambda value: {"show": value.show, …}`. A field
    without a `write` of its own is written as it is.
    """
    names: dict[str, Any] = {}
    source = f"lambda value: {_dict_of(schema, 'value', names)}"
    write: Writer = eval(source, names)  # noqa: S307 - the source holds only names of the schema's fields
    return write


def _dict_of(schema: Schema, value: str, names: dict[str, Any]) -> str:
    """Return the expression of an object; a prefix that attributes share (`decision.`) is looked up once."""
    pairs, prefixes = [], dict[str, str]()
    for name, field in schema.fields.items():
        prefix, _, attribute = (field.attribute or name).rpartition(".")
        owner = prefixes.get(prefix, value)
        if prefix and prefix not in prefixes:
            prefixes[prefix] = _name(names)
            owner = f"({prefixes[prefix]} := {value}.{prefix})"
        pairs.append(f"{field.data_key or name!r}: {_expression(field, f'{owner}.{attribute}', names)}")
    return f"{{{', '.join(pairs)}}}"


def _expression(field: fields.Field[Any], value: str, names: dict[str, Any]) -> str:
    """Return the expression that writes a field's value. `names` are those that it uses: functions and variables."""
    if isinstance(field, Parts | FeatureNames | NextSteps):
        return f"{_name(names, _encode_once(field.write))}({value})"
    if isinstance(field, _Written):
        return f"{_name(names, field.write)}({value})"
    part = _name(names)
    if isinstance(field, Shared):
        written = f"{_name(names, _encode_once(compile_writer(field.schema)))}({part})"
    elif isinstance(field, fields.Nested):
        written = _dict_of(field.schema, part, names)
    elif isinstance(field, fields.List):
        one = _name(names)
        inner = field.inner
        element = _dict_of(inner.schema, one, names) if isinstance(inner, fields.Nested) else one
        written = f"[{element} for {one} in {part}]"
    else:
        return value
    return f"None if ({part} := {value}) is None else {written}"


def _encode_once(write: Writer) -> Writer:
    """Return a writer that returns encoded JSON, and remembers it."""
    return lru_cache(maxsize=8_192)(lambda value: orjson.Fragment(orjson.dumps(write(value))))


def _name(names: dict[str, Any], function: Writer | None = None) -> str:
    name = f"_{len(names)}"
    names[name] = function
    return name


Value = TypeVar("Value")
Check = Callable[[dict[str, Any]], list[tuple[str, str]]]
"""What a schema cannot know about a body as it came: pairs of a field and a message."""


def read_field(name: str, read: Callable[[object], Value], value: object) -> Value:
    """Return one value by its reader, which raises `ValueError`. Raises: `InvalidFields`."""
    try:
        return read(value)
    except ValueError as error:
        raise InvalidFields([(name, str(error))]) from None


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
