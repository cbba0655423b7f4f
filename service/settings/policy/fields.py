"""The kinds of value in `paywall.toml`, as marshmallow fields with strict types and sentences of our own.

marshmallow's own fields take 1 for true and "5" for five; a policy must not be guessed at. Every field says what it
wants and what it got, and never repeats a value that it did not understand, as it may be a secret in the wrong place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from marshmallow import Schema, ValidationError, fields

from service.settings.policy.mistakes import closest, key_shown, quoted
from service.settings.policy.text_rules import wrong_name, wrong_text, wrong_zone, zones

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"([0-9]{1,9})([smhd])")


def needed(example: str) -> dict[str, Any]:
    """Options of a field that must be there; the message about its absence shows `example`, in TOML."""
    return {"required": True, "metadata": {"example": example}}


def kind(value: object) -> str:
    """What a TOML value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {int: "a whole number", float: "a number with a point", str: "a text"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


class Text(fields.Field[str]):
    """A text that `check` finds nothing wrong with."""

    def __init__(self, check: Callable[[str], str | None] = wrong_text, **options: Any) -> None:
        super().__init__(**options)
        self._check = check

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a text in quotes, and is {kind(value)}")
        if wrong := self._check(value):
            raise ValidationError(wrong)
        return value


class Zone(Text):
    """A time zone's name, with a guess at what was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda word: (wrong := wrong_zone(word)) and wrong + closest(word, zones()), **options)


class OneOf(fields.Field[str]):
    """One of a few words."""

    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(**options)
        self._words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and value in self._words:
            return value
        raise ValidationError("must be " + " or ".join(map(quoted, self._words)))


class Flag(fields.Field[bool]):
    """true or false, and nothing that merely looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"must be true or false, without quotes, and is {kind(value)}")
        return value


class Count(fields.Field[int]):
    """A whole number within limits."""

    def __init__(self, least: int, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._limits = (least, most)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        least, most = self._limits
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError(f"must be a whole number from {least} to {most}, and is {kind(value)}")
        if not least <= value <= most:
            raise ValidationError(f"must be from {least} to {most}")
        return value


class Length(fields.Field[int]):
    """A length of time such as "30d" or "24h", read as seconds. `units`: the letters that are taken."""

    def __init__(self, units: str, least: int, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._units, self._limits = units, (least, most)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return seconds_of(value, self._units, *self._limits)


class Window(fields.Field[tuple[str, int]]):
    """`("month", 0)` of a calendar window, `("rolling", seconds)` of "30d"."""

    calendar = ("day", "week", "month")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, int]:
        if isinstance(value, str) and value in self.calendar:
            return value, 0
        if isinstance(value, str) and _LENGTH.fullmatch(value):
            return "rolling", seconds_of(value, "d", SECONDS["d"], 366 * SECONDS["d"])
        guess = closest(value, self.calendar) if isinstance(value, str) else ""
        raise ValidationError('must be "day", "week", "month" or a number of days such as "30d"' + guess)


class Items(fields.List[Any]):
    """A list in which nothing stands twice. `least`: how many there must be."""

    def __init__(self, inner: fields.Field[Any], least: int = 0, **options: Any) -> None:
        super().__init__(inner, **options)
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be a list in [brackets], and is {kind(value)}")
        if len(value) < self._least:
            raise ValidationError(
                "must name at least one" if self.required else "is empty: name at least one, or leave it out"
            )
        result: list[Any] = super()._deserialize(value, attr, data, **kwargs)
        texts = {i: each for i, each in enumerate(result) if isinstance(each, str)}
        first = {each: i for i, each in reversed(texts.items())}
        twice = {i: [f"{quoted(each)} stands here twice"] for i, each in texts.items() if first[each] != i}
        if twice:
            raise ValidationError(twice)
        return result


class Tables(fields.List[Any]):
    """What TOML writes as `[[rules]]`: a list of tables."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be a list of tables: write [[{self.name}]], in double brackets, before each")
        result: list[Any] = super()._deserialize(value, attr, data, **kwargs)
        return result


class Named(fields.Field[dict[str, Any]]):
    """A table whose keys are names that the newsroom chose. Their order in the file is kept. `least`: how many."""

    def __init__(self, inner: fields.Field[Any], least: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._inner, self._least = inner, least

    def _bind_to_schema(self, field_name: str, parent: Schema | fields.Field[Any]) -> None:
        super()._bind_to_schema(field_name, parent)
        self._inner = copy.deepcopy(self._inner)
        self._inner._bind_to_schema(field_name, self)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError(f"must be a table, and is {kind(value)}")
        if len(value) < self._least:
            raise ValidationError("is empty: name at least one")
        result: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, each in value.items():
            try:
                if wrong := wrong_name(name):
                    raise ValidationError(wrong)
                result[name] = self._inner.deserialize(each, name, value)
            except ValidationError as error:
                errors[key_shown(name)] = error.messages
        if errors:
            raise ValidationError(errors)
        return result


def seconds_of(value: object, units: str, least: int, most: int) -> int:
    """The seconds of "24h". Raises `ValidationError`."""
    wanted = ", ".join(_UNITS[unit] for unit in units[:-1]) + " or " * (len(units) > 1) + _UNITS[units[-1]]
    example = {"d": "30d"}.get(units, "24h")
    if not isinstance(value, str):
        raise ValidationError(f'must be a text such as "{example}" (a number of {wanted}), and is {kind(value)}')
    match = _LENGTH.fullmatch(value)
    if match is None or match[2] not in units:
        raise ValidationError(f'must be a whole number of {wanted}, such as "{example}"')
    seconds = int(match[1]) * SECONDS[match[2]]
    if not least <= seconds <= most:
        unit = next(unit for unit in "dhms" if unit in units and least % SECONDS[unit] == 0)
        raise ValidationError(f'must be from "{least // SECONDS[unit]}{unit}" to "{most // SECONDS["d"]}d"')
    return seconds
