"""The shape of `paywall.toml`: each of its tables, what must and what may stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from service.domain.ids import wrong_id
from service.settings.policy.fields import (
    SECONDS,
    Count,
    Flag,
    Items,
    Length,
    Named,
    OneOf,
    Tables,
    Text,
    Window,
    Zone,
    needed,
)
from service.settings.policy.mistakes import closest, key_shown
from service.settings.policy.text_rules import (
    wrong_link,
    wrong_name,
    wrong_origin,
    wrong_price,
    wrong_product,
    wrong_story_url,
)

DAY = SECONDS["d"]
LONGEST = 3_660 * DAY
"""Ten years: beyond it a length is a slip of the finger, and dates run out of range."""
MANY = 1_000_000


class Table(Schema):
    """Every key must be known; a message about a missing key shows what to write."""

    error_messages = {"type": "must be a table"}  # noqa: RUF012 -- marshmallow reads this class attribute and copies it

    class Meta:
        unknown = EXCLUDE  # `every_key_is_known` says more than marshmallow's RAISE would.

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        example = field_obj.metadata.get("example")
        field_obj.error_messages["required"] = f"is missing: add {example}"
        if isinstance(field_obj, fields.Nested):
            field_obj.error_messages["type"] = "must be a table"

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def every_key_is_known(self, _: dict[str, Any], original: object, **kwargs: Any) -> None:
        if not isinstance(original, dict):
            return
        unknown = [key for key in original if key not in self.fields]
        errors = {key_shown(key): ["is not a known key" + closest(key, self.fields)] for key in unknown}
        if errors:
            raise ValidationError(errors)


class SiteTable(Table):
    name = Text(**needed('name = "The Daily Ledger"'))
    timezone = Zone(**needed('timezone = "America/New_York"'))
    origins = Items(Text(wrong_origin), **needed('origins = ["https://www.example.news"]'))
    story_url = Text(wrong_story_url, load_default=None)


class PlanTable(Table):
    name = Text(**needed('name = "Supporter"'))
    features = Items(Text(wrong_name), least=1, **needed('features = ["…"], names from [features]'))
    prices = Items(Text(wrong_price), load_default=list)
    products = Items(Text(wrong_product), load_default=list)
    grace_days = Count(0, 366, load_default=14)
    pass_hours = Count(1, 87_840, load_default=None)
    seats = Flag(load_default=False)
    gifts_per_month = Count(0, MANY, load_default=0)

    @validates_schema(skip_on_field_errors=True)
    def a_pass_has_no_seats(self, plan: dict[str, Any], **kwargs: Any) -> None:
        if plan["seats"] and plan["pass_hours"] is not None:
            raise ValidationError("cannot stand beside seats = true: a pass is for one reader, paid once", "pass_hours")


class TierTable(Table):
    requires = Items(Text(wrong_name), load_default=list)
    open_parts = Items(Text(wrong_id), load_default=list)
    meter = Text(wrong_name, load_default=None)

    @validates_schema(skip_on_field_errors=True)
    def a_meter_has_something_to_open(self, tier: dict[str, Any], **kwargs: Any) -> None:
        # Such a tier would be free, and the newsroom would find out from its figures.
        if tier["meter"] and not tier["requires"]:
            raise ValidationError("never counts, as this tier requires nothing and so is free: add requires", "meter")


class RuleTable(Table):
    sections = Items(Text(wrong_id), least=1, load_default=list)
    tags = Items(Text(wrong_id), least=1, load_default=list)
    older_than = Length("d", DAY, LONGEST, load_default=None)
    newer_than = Length("d", DAY, LONGEST, load_default=None)
    tier = Text(wrong_name, **needed('tier = "…", a name from [tiers]'))

    @validates_schema(skip_on_field_errors=True)
    def some_age_fits(self, rule: dict[str, Any], **kwargs: Any) -> None:
        older, newer = rule["older_than"], rule["newer_than"]
        if older is not None and newer is not None and older >= newer:
            raise ValidationError(
                "must be less than newer_than: no story is both, so this rule never holds", "older_than"
            )


class DefaultsTable(Table):
    tier = Text(wrong_name, **needed('tier = "…", a name from [tiers]'))


class MeterTable(Table):
    visitors = Count(0, MANY, **needed("visitors = 2"))
    readers = Count(0, MANY, **needed("readers = 5"))
    window = Window(**needed('window = "month"'))


class LinkTable(Table):
    text = Text(**needed('text = "…", what the reader sees'))
    url = Text(wrong_link, **needed('url = "/…"'))


class OfferTable(Table):
    heading = Text(**needed('heading = "Unlock unlimited access"'))
    benefits = Items(Text(wrong_name), **needed('benefits = ["…"], names from [features]'))
    button = Text(**needed('button = "Support us"'))
    plans = Items(Text(wrong_name), least=1, **needed('plans = ["…"], names from [plans]'))
    links = Items(fields.Nested(LinkTable), load_default=list)


class StripeTable(Table):
    livemode = Flag(load_default=False)
    leeway_hours = Count(0, 8_784, load_default=48)


class FailureTable(Table):
    readers = OneOf("full", "upsell", load_default="full")
    visitors = OneOf("full", "upsell", load_default="upsell")
    known_for = Length("smhd", 0, 366 * DAY, load_default=DAY)


class ConfirmTable(Table):
    readers = Count(0, MANY, load_default=None)
    length = Length("smhd", 1, LONGEST, load_default=None)

    @validates_schema(skip_on_field_errors=True)
    def something_is_confirmed(self, above: dict[str, Any], **kwargs: Any) -> None:
        if above["readers"] is None and above["length"] is None:
            raise ValidationError('is empty: add readers = 100 or length = "90d", or leave it out')


class GrantsTable(Table):
    plans = Items(Text(wrong_name), load_default=None)
    longest = Length("smhd", 1, LONGEST, load_default=None)
    confirm_above = fields.Nested(ConfirmTable, load_default=lambda: {"readers": None, "length": None})


class RetentionTable(Table):
    history_days = Count(7, 3_660, load_default=400)
    audit_days = Count(7, 3_660, load_default=None)


class PolicyTable(Table):
    """The whole file."""

    site = fields.Nested(SiteTable, **needed("a [site] table"))
    features = Named(Text(), least=1, **needed("a [features] table"))
    plans = Named(fields.Nested(PlanTable), least=1, **needed("a table such as [plans.supporter]"))
    tiers = Named(fields.Nested(TierTable), least=1, **needed("a table such as [tiers.metered]"))
    rules = Tables(fields.Nested(RuleTable), load_default=list)
    defaults = fields.Nested(DefaultsTable, **needed("a [defaults] table"))
    meters = Named(fields.Nested(MeterTable), load_default=dict)
    offers = Named(fields.Nested(OfferTable), load_default=dict)
    stripe = fields.Nested(StripeTable, load_default=lambda: StripeTable().load({}))
    failure = fields.Nested(FailureTable, load_default=lambda: FailureTable().load({}))
    grants = fields.Nested(GrantsTable, load_default=lambda: GrantsTable().load({}))
    retention = fields.Nested(RetentionTable, load_default=lambda: RetentionTable().load({}))


def places(messages: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """marshmallow's nested messages as `("plans.supporter.features.0", "…")`; `_schema` is the table itself."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from places(inner, place if key == "_schema" else f"{place}.{key}".lstrip("."))
    elif isinstance(messages, list):
        for each in messages:
            yield from places(each, place)
    else:
        yield place, str(messages)
