"""Buying a plan: `/v1/checkout`, `/v1/checkout/returned` and `/v1/portal`."""

from __future__ import annotations

import re

from marshmallow import fields, validate

from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import RequestSchema, ResponseSchema
from service.settings.validation import LOCALES, wrong_locale
from service.use_cases.checkout.checkout_session import MOST_SEATS

_PROMOTION = "promo_[A-Za-z0-9_]{1,120}"
_CURRENCY = "[a-z]{3}"


def _wrong_currency(word: str) -> str | None:
    return None if re.fullmatch(_CURRENCY, word) else "must be a currency of three lowercase letters, such as eur"


def _wrong_promotion(word: str) -> str | None:
    if re.fullmatch(_PROMOTION, word):
        return None
    return "must be the ID of a promotion code at Stripe, which begins with promo_, and not the code that readers enter"


class CheckoutIn(RequestSchema):
    reader = types.reader_id(required=True)
    plan = types.identifier(allow_none=True)
    price = types.identifier(allow_none=True)
    return_url = types.text(required=True)
    cancel_url = types.text(allow_none=True)
    quantity = types.whole_number(MOST_SEATS, example=5, allow_none=True)
    locale = types.word(wrong_locale, {"enum": [*LOCALES]}, allow_none=True)
    currency = types.word(_wrong_currency, {"pattern": f"^{_CURRENCY}$", "example": "eur"}, allow_none=True)
    promotion_code = types.word(
        _wrong_promotion, {"pattern": f"^{_PROMOTION}$", "example": "promo_1MiM6KLkdIwHu7ixrIaX4wgn"}, allow_none=True
    )


class PortalIn(RequestSchema):
    reader = types.reader_id(required=True)
    return_url = types.text(required=True)


class UrlOut(ResponseSchema):
    url = fields.String(required=True, metadata={"format": "uri"})


class ReturnedIn(RequestSchema):
    session = fields.String(required=True, validate=validate.Regexp(r"cs_[A-Za-z0-9_]{1,120}\Z"))


class ReturnedOut(ResponseSchema):
    session = fields.String(required=True)
    settled = fields.Boolean(required=True)
