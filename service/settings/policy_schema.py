"""The shape of `paywall.toml`: its kinds of values as strict marshmallow fields, and its tables.

marshmallow's own fields take 1 for true and "5" for five; a policy must not be guessed at. Every field reports what it
expects and what it found. It never repeats a value that it did not understand, which may be a secret in the wrong place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from service.domain.ids import wrong_id
from service.settings.validation import (
    closest,
    key_shown,
    quoted,
    wrong_link,
    wrong_locale,
    wrong_metadata_key,
    wrong_name,
    wrong_origin,
    wrong_price,
    wrong_product,
    wrong_story_url,
    wrong_text,
    wrong_zone,
)

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"([0-9]{1,9})([smhd])")


def required(example: str) -> dict[str, Any]:
    """Return the options of a required field; the message about its absence shows `example`, in TOML."""
    return {"required": True, "metadata": {"example": example}}


def kind(value: object) -> str:
    """Return the type of a TOML value in words."""
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {int: "a whole number", float: "a number with a point", str: "a text"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


class Text(fields.Field[str]):
    """A text that `check` accepts: it returns what is wrong, or `None`."""

    def __init__(self, check: Callable[[str], str | None] = wrong_text, **options: Any) -> None:
        super().__init__(**options)
        self._check = check

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a text in quotes, and is {kind(value)}")
        if wrong := self._check(value):
            raise ValidationError(wrong)
        return value


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
    """`true` or `false`, and nothing similar to it."""

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


class ShareField(fields.Field[float]):
    """A share from 0 to 1."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ValidationError("must be a number from 0 to 1, such as 0.2")
        return float(value)


class Length(fields.Field[int]):
    """A length of time such as "30d" or "24h", loaded as seconds. `units`: the letters that are allowed."""

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
    """A list without repeated entries. `least`: its shortest length."""

    def __init__(self, inner: fields.Field[Any], least: int = 0, **options: Any) -> None:
        super().__init__(inner, **options)
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be a list in [brackets], and is {kind(value)}")
        if len(value) < self._least:
            wrong = "must name at least one" if self.required else "is empty: name at least one, or leave it out"
            raise ValidationError(wrong)
        result, errors = list[Any](), dict[int, Any]()
        try:
            result = super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            errors |= error.messages  # type: ignore[arg-type]  # those of a list are by place
        first: dict[str, int] = {}
        for place, each in enumerate(value):
            if isinstance(each, str) and first.setdefault(each, place) != place:
                errors.setdefault(place, [f"{quoted(each)} stands here twice"])
        if errors:
            raise ValidationError(errors)
        return result


class Tables(fields.List[Any]):
    """A list of tables, which TOML writes as `[[rules]]`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be a list of tables: write [[{self.name}]], in double brackets, before each")
        return list(super()._deserialize(value, attr, data, **kwargs))


class Named(fields.Field[dict[str, Any]]):
    """A table whose keys are names that the newsroom chose, in the order of the file. `least`: its smallest size."""

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
    """Return the seconds of "24h". Raises: `ValidationError`."""
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


DAY = SECONDS["d"]
LONGEST = 3_660 * DAY
"""Ten years: a longer length is a typing error, and dates would run out of range."""
MANY = 1_000_000


class Table(Schema):
    """A table that refuses unknown keys; the message about a missing key shows what to write."""

    error_messages = {"type": "must be a table"}  # noqa: RUF012 -- marshmallow reads this class attribute and copies it

    def __init__(self, **options: Any) -> None:
        super().__init__(unknown=EXCLUDE, **options)  # `refuse_unknown_keys` reports more than marshmallow's RAISE.

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        example = field_obj.metadata.get("example")
        field_obj.error_messages["required"] = f"is missing: add {example}"
        if isinstance(field_obj, fields.Nested):
            field_obj.error_messages["type"] = "must be a table"

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown_keys(self, _: dict[str, Any], original: object, **kwargs: Any) -> None:
        if not isinstance(original, dict):
            return
        known = [field.data_key or name for name, field in self.fields.items()]
        errors = {key_shown(key): ["is not a known key" + closest(key, known)] for key in original if key not in known}
        if errors:
            raise ValidationError(errors)


class SiteTable(Table):
    name = Text(**required('name = "The Daily Ledger"'))
    timezone = Text(wrong_zone, **required('timezone = "America/New_York"'))
    origins = Items(Text(wrong_origin), **required('origins = ["https://www.example.news"]'))
    story_url = Text(wrong_story_url, load_default=None)


class PlanTable(Table):
    name = Text(**required('name = "Supporter"'))
    features = Items(Text(wrong_name), load_default=list)
    meters = Named(Count(1, MANY), load_default=dict)
    prices = Items(Text(wrong_price), load_default=list)
    products = Items(Text(wrong_product), load_default=list)
    grace_days = Count(0, 366, load_default=14)
    pass_hours = Count(1, 87_840, load_default=None)
    seats = Flag(load_default=False)
    gifts_per_month = Count(0, MANY, load_default=0)
    trial_days = Count(1, 730, load_default=None)  # Stripe's own limits

    @validates_schema(skip_on_field_errors=False)
    def refuse_seats_of_a_pass(self, plan: dict[str, Any], **kwargs: Any) -> None:
        if plan.get("seats") and plan.get("pass_hours") is not None:
            raise ValidationError("cannot stand beside seats = true: a pass is for one reader, paid once", "pass_hours")


class TierTable(Table):
    requires = Items(Text(wrong_name), load_default=list)
    open_parts = Items(Text(wrong_id), load_default=list)
    meter = Text(wrong_name, load_default=None)
    sign_in = OneOf("any", "verified", load_default=None)
    offer = Text(wrong_name, load_default=None)
    sign_in_offer = Text(wrong_name, load_default=None)

    @validates_schema(skip_on_field_errors=False)
    def refuse_what_opens_too_much(self, tier: dict[str, Any], **kwargs: Any) -> None:
        if tier.get("sign_in") and tier.get("requires"):
            raise ValidationError(
                "cannot stand beside requires: the tier would open what you sell to everyone who signs in", "sign_in"
            )
        # Such a tier would be free, which is only seen in statistics. A key with a mistake of its own is missing here.
        if tier.get("meter") and tier.get("requires") == [] and tier.get("sign_in", "wrong") is None:
            raise ValidationError(
                "never counts, as this tier requires nothing and so is free: add requires or sign_in", "meter"
            )


class RuleTable(Table):
    sections = Items(Text(wrong_id), least=1, load_default=list)
    tags = Items(Text(wrong_id), least=1, load_default=list)
    older_than = Length("d", DAY, LONGEST, load_default=None)
    newer_than = Length("d", DAY, LONGEST, load_default=None)
    tier = Text(wrong_name, **required('tier = "…", a name from [tiers]'))

    @validates_schema(skip_on_field_errors=False)
    def refuse_impossible_ages(self, rule: dict[str, Any], **kwargs: Any) -> None:
        older, newer = rule.get("older_than"), rule.get("newer_than")
        if older is not None and newer is not None and older >= newer:
            raise ValidationError(
                "must be less than newer_than: no story is both, so this rule never holds", "older_than"
            )


class DefaultsTable(Table):
    tier = Text(wrong_name, **required('tier = "…", a name from [tiers]'))


class MeterTable(Table):
    visitors = Count(0, MANY, **required("visitors = 2"))
    readers = Count(0, MANY, **required("readers = 5"))
    window = Window(**required('window = "month"'))


class LinkTable(Table):
    text = Text(**required('text = "…", what the reader sees'))
    url = Text(wrong_link, **required('url = "/…"'))


class OfferTable(Table):
    heading = Text(**required('heading = "Unlock unlimited access"'))
    benefits = Items(Text(wrong_name), **required('benefits = ["…"], names from [features]'))
    button = Text(**required('button = "Support us"'))
    plans = Items(Text(wrong_name), load_default=list)
    links = Items(fields.Nested(LinkTable), load_default=list)


class StripeTable(Table):
    livemode = Flag(load_default=False)
    leeway_hours = Count(0, 8_784, load_default=48)
    reader_metadata = Items(Text(wrong_metadata_key), least=1, load_default=("reader_id",))


class CheckoutTable(Table):
    automatic_tax = Flag(load_default=False)
    tax_id_collection = Flag(load_default=False)
    allow_promotion_codes = Flag(load_default=False)
    billing_address_collection = OneOf("auto", "required", load_default=None)
    locale = Text(wrong_locale, load_default=None)


class FailureTable(Table):
    readers = OneOf("full", "upsell", load_default="full")
    visitors = OneOf("full", "upsell", load_default="upsell")
    known_for = Length("smhd", 0, 366 * DAY, load_default=DAY)


class ConfirmTable(Table):
    readers = Count(0, MANY, load_default=None)
    length = Length("smhd", 1, LONGEST, load_default=None)

    @validates_schema(skip_on_field_errors=True)
    def refuse_empty_table(self, above: dict[str, Any], **kwargs: Any) -> None:
        if above["readers"] is None and above["length"] is None:
            raise ValidationError('is empty: add readers = 100 or length = "90d", or leave it out')


class GrantsTable(Table):
    plans = Items(Text(wrong_name), load_default=None)
    longest = Length("smhd", 1, LONGEST, load_default=None)
    confirm_above = fields.Nested(ConfirmTable, load_default=lambda: {"readers": None, "length": None})


class ProviderTable(Table):
    name = Text(wrong_text, **required('name = "Print subscription"'))
    largest_drop = ShareField(load_default=0.2)
    expected_every = Length("smhd", 60, 366 * DAY, load_default=None)


class RetentionTable(Table):
    history_days = Count(7, 3_660, load_default=400)
    audit_days = Count(7, 3_660, load_default=None)


class PolicyTable(Table):
    """The whole file."""

    site = fields.Nested(SiteTable, **required("a [site] table"))
    features = Named(Text(), least=1, **required("a [features] table"))
    plans = Named(fields.Nested(PlanTable), least=1, **required("a table such as [plans.supporter]"))
    tiers = Named(fields.Nested(TierTable), least=1, **required("a table such as [tiers.metered]"))
    rules = Tables(fields.Nested(RuleTable), load_default=list)
    defaults = fields.Nested(DefaultsTable, **required("a [defaults] table"))
    meters = Named(fields.Nested(MeterTable), load_default=dict)
    offers = Named(fields.Nested(OfferTable), load_default=dict)
    stripe = fields.Nested(StripeTable, load_default=lambda: StripeTable().load({}))
    checkout = fields.Nested(CheckoutTable, load_default=lambda: CheckoutTable().load({}))
    failure = fields.Nested(FailureTable, load_default=lambda: FailureTable().load({}))
    providers = Named(fields.Nested(ProviderTable), load_default=dict)
    grants = fields.Nested(GrantsTable, load_default=lambda: GrantsTable().load({}))
    retention = fields.Nested(RetentionTable, load_default=lambda: RetentionTable().load({}))
