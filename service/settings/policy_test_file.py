"""Read files of policy tests: `[[case]]` tables, checked against a policy. Every mistake is listed with file and place."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from marshmallow import Schema, ValidationError, fields, validates_schema

from service.domain.catalogue import Catalogue, Story
from service.domain.ids import wrong_id
from service.domain.policy_cases import SOURCES, CasePlan, PolicyCase
from service.domain.sources import Reason
from service.domain.times import read_time, write_time
from service.settings.policy_schema import (
    LONGEST,
    MANY,
    Count,
    Flag,
    Items,
    Length,
    OneOf,
    Table,
    Tables,
    Text,
    kind,
    required,
)
from service.settings.validation import Mistake, places, wrong_reference

USUAL_MOMENT = int(read_time("2026-01-15T12:00:00Z"))
"""When a case takes place that does not say: fixed, so that a file means the same on every day."""
LARGEST = 16 * 2**20
"""Bytes of a file."""


_policy: ContextVar[Catalogue] = ContextVar("policy")
"""The policy against which names are checked, while a file is read."""


def known(table: Literal["features", "plans", "tiers", "meters"]) -> Callable[[str], str | None]:
    """Return a check of a name in a table of the policy."""
    return lambda name: wrong_reference(name, table, getattr(_policy.get(), table))


class Moment(fields.Field[int]):
    """A time with an offset, in TOML's own form or in quotes, loaded as epoch seconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, datetime):
            value = value.isoformat()
        if not isinstance(value, str):
            raise ValidationError("must be a time with an offset, such as 2026-11-20T09:00:00Z")
        try:
            return int(read_time(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class TextOr(fields.Field[Any]):
    """A text that stands for the whole of a table, as `key`, or such a table."""

    def __init__(self, key: str, table: type[Schema], **options: Any) -> None:
        super().__init__(**options)
        self._key, self._table = key, table()

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str | dict):
            raise ValidationError(f"must be a text in quotes, or a table, and is {kind(value)}")
        return self._table.load({self._key: value} if isinstance(value, str) else value)


class HeldTable(Table):
    plan = Text(known("plans"), **required('plan = "…", a name from [plans]'))
    by = OneOf(*SOURCES, load_default=None)
    from_ = Moment(data_key="from", load_default=0)
    until = Moment(load_default=None)

    @validates_schema(skip_on_field_errors=True)
    def refuse_end_before_start(self, held: dict[str, Any], **kwargs: Any) -> None:
        if held["until"] is not None and held["until"] <= held["from_"]:
            raise ValidationError("must be later than from", "until")


class ReadStoryTable(Table):
    story = Text(wrong_id, **required('story = "…", the ID of a story'))
    at = Moment(load_default=None)


class StoriesRead(fields.Field[list[dict[str, Any]]]):
    """How many other stories were read, or which: their IDs, or tables with `story` and `at`.

    The stories of a number are no other's, so those of the reader and of the visitor add up.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._number = Count(0, MANY)
        self._stories = fields.List(TextOr("story", ReadStoryTable))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            found: Any = self._stories.deserialize(value)
            return list(found)
        count = self._number.deserialize(value)
        return [{"story": f"\0{self.name}{number}", "at": None} for number in range(count)]


class ReadTable(Table):
    reader = StoriesRead(load_default=list)
    visitor = StoriesRead(load_default=list)
    meter = Text(known("meters"), load_default=None)


class StoryTable(Table):
    id = Text(wrong_id, load_default="story")
    section = Text(wrong_id, load_default=None)
    tags = Items(Text(wrong_id), load_default=list)
    tier = Text(known("tiers"), load_default=None)
    parts = Items(Text(wrong_id), load_default=list)
    published_at = Moment(load_default=None)
    age = Length("smhd", 0, LONGEST, load_default=None)

    @validates_schema(skip_on_field_errors=True)
    def refuse_two_ages(self, story: dict[str, Any], **kwargs: Any) -> None:
        if story["age"] is not None and story["published_at"] is not None:
            raise ValidationError("stands beside published_at: give one of them", "age")


class StepTable(Table):
    step = OneOf("sign_in", "verify", "subscribe", "wait", **required('step = "sign_in"'))
    verified = Flag()
    plans = Items(Text(known("plans")))
    until = Moment()


class MeterExpectedTable(Table):
    name = Text(known("meters"))
    limit = Count(0, MANY)
    used = Count(0, MANY)
    left = Count(0, MANY)
    plan = Text(known("plans"))


class ExpectTable(Table):
    show = OneOf("full", "upsell")
    reason = OneOf(*(reason.value for reason in Reason))
    tier = Text(known("tiers"))
    next = Items(TextOr("step", StepTable))
    features = Items(Text(known("features")))
    plan = Text(known("plans"))
    parts = fields.Dict(
        keys=Text(wrong_id), values=OneOf("open", "locked"), error_messages={"invalid": "must be a table"}
    )
    meter = fields.Nested(MeterExpectedTable)

    @validates_schema(skip_on_field_errors=True)
    def refuse_nothing(self, expected: dict[str, Any], **kwargs: Any) -> None:
        if not expected:
            raise ValidationError('expects nothing: add show = "full", or another field of an answer')


_NEEDS = 'needs a {0}: add {0} = "{1}"'


class CaseTable(Table):
    name = Text(load_default=None)
    at = Moment(load_default=USUAL_MOMENT)
    reader = Text(wrong_id, load_default=None)
    visitor = Text(wrong_id, load_default=None)
    verified = Flag(load_default=False)
    plans = Items(TextOr("plan", HeldTable), load_default=list)
    read = fields.Nested(ReadTable, load_default=lambda: ReadTable().load({}))
    story = fields.Nested(StoryTable, load_default=lambda: StoryTable().load({}))
    expect = fields.Nested(ExpectTable, **required('expect.show = "full"'))

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_what_needs_an_id(self, _: dict[str, Any], original: object, **kwargs: Any) -> None:
        """Refuse plans, reads and a verified address of a reader or a visitor who is not there."""
        case = original if isinstance(original, dict) else {}
        read = given if isinstance(given := case.get("read"), dict) else {}
        wrong: dict[str, Any] = {}
        if "reader" not in case:
            wrong |= {name: [_NEEDS.format("reader", "r-1")] for name in ("verified", "plans") if case.get(name)}
        lonely = {
            who: [_NEEDS.format(who, f"{who[0]}-1")]
            for who in ("reader", "visitor")
            if read.get(who) and who not in case
        }
        if lonely:
            wrong["read"] = lonely
        if wrong:
            raise ValidationError(wrong)

    @validates_schema(skip_on_field_errors=False)
    def refuse_reads_ahead(self, case: dict[str, Any], **kwargs: Any) -> None:
        now = case.get("at", math.inf)
        for who in ("reader", "visitor"):
            read = case.get("read", {}).get(who, ())
            late = [n for n, one in enumerate(read) if one["at"] is not None and one["at"] > now]
            if late:
                raise ValidationError({"read": {who: {n: {"at": ["is later than the case's at"]} for n in late}}})


class PolicyTestFile(Table):
    case = Tables(fields.Nested(CaseTable), **required("a [[case]] table"))


@dataclass(frozen=True, slots=True)
class CaseReading:
    """The cases of the files, or what is wrong with them."""

    cases: Sequence[PolicyCase] = ()
    mistakes: Sequence[Mistake] = ()


def read_cases(files: Sequence[Path], catalogue: Catalogue) -> CaseReading:
    """Read files of policy tests, and check the names in them against the policy."""
    _policy.set(catalogue)
    cases: list[PolicyCase] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            cases += _cases_of(_document(file), file)
        except ValidationError as error:
            mistakes += [
                Mistake(f"{file}: {place}" if place else str(file), text) for place, text in places(error.messages)
            ]
    return CaseReading(cases, mistakes)


def _document(file: Path) -> dict[str, Any]:
    try:
        if file.is_file() and file.stat().st_size > LARGEST:
            raise ValidationError(f"has more than {LARGEST >> 20} MiB: divide it")
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise ValidationError(f"cannot be read: {error.strerror or 'the system refuses'}") from None
    except UnicodeDecodeError:
        raise ValidationError("is not UTF-8: save the file in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"is not TOML: {error}") from None


def _cases_of(document: dict[str, Any], file: Path) -> list[PolicyCase]:
    loaded = PolicyTestFile().load(document)["case"]
    pairs = enumerate(zip(loaded, document["case"], strict=True))
    return [_case(f"{file}: case.{number}", case, written) for number, (case, written) in pairs]


def _case(place: str, case: dict[str, Any], written: dict[str, Any]) -> PolicyCase:
    at, story = case["at"], dict(case["story"])
    if (age := story.pop("age")) is not None:
        story["published_at"] = at - age
    lists = {name: tuple(story[name]) for name in ("tags", "parts")}

    def read(who: str) -> dict[str, int] | None:
        if case[who] is None:
            return None
        return {one["story"]: at if one["at"] is None else one["at"] for one in case["read"][who]}

    return PolicyCase(
        place=place,
        name=case["name"],
        given={name: value for name, value in written.items() if name not in ("name", "expect")},
        expected=_json(case["expect"]),
        story=Story(**(story | lists)),
        at=at,
        verified=case["verified"],
        plans=[CasePlan(held["plan"], held["by"], held["from_"], held["until"]) for held in case["plans"]],
        reader_read=read("reader"),
        visitor_read=read("visitor"),
        meter=case["read"]["meter"],
    )


def _json(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is expected as an answer has it: moments as times, and a step with its word alone as that word."""
    found = dict(expected)
    if "next" in found:
        steps = [step | ({"until": write_time(step["until"])} if "until" in step else {}) for step in found["next"]]
        found["next"] = [step["step"] if len(step) == 1 else step for step in steps]
    return found
