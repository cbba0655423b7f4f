"""`/v1/coupons` and `/v1/promotion_codes`."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import discounts
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.lists import filtered_page
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

routes = Routes()

_COUPON = (
    "amount_off",
    "currency",
    "duration",
    "duration_in_months",
    "id",
    "max_redemptions",
    "metadata",
    "name",
    "percent_off",
)
_CODE = ("code", "customer", "expires_at", "max_redemptions", "metadata", "promotion")


@routes.post("/v1/coupons", *_COUPON)
def create_coupon(world: World, params: Params) -> Json:
    percent, amount = params.integer("percent_off"), params.integer("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must pass either `percent_off` or `amount_off`.", "percent_off")
    coupon = blank(
        "coupon",
        id=params.text("id") or ids.letters(8),
        amount_off=amount,
        created=world.now(),
        currency=params.required("currency") if amount is not None else None,
        duration=params.choice("duration", ("forever", "once", "repeating"), "once"),
        duration_in_months=params.integer("duration_in_months"),
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
        name=params.text("name"),
        percent_off=percent,
    )
    return world.add(coupon)


@routes.get("/v1/coupons/{coupon}")
def retrieve_coupon(world: World, params: Params, coupon: str) -> Json:
    return world.get("coupon", coupon)


@routes.list("/v1/promotion_codes", "code", "created", "customer")
def list_codes(world: World, params: Params) -> Json:
    rows = world.table("promotion_code").values()
    return filtered_page("/v1/promotion_codes", rows, params, "code", "customer")


@routes.post("/v1/promotion_codes", *_CODE)
def create_code(world: World, params: Params) -> Json:
    promotion = params.inner("promotion")
    coupon = world.get("coupon", promotion.required("coupon"), promotion.name("coupon"), 400)
    return discounts.new_code(
        world,
        ids.new("promo_1"),
        params.text("code") or ids.letters(8).upper(),
        coupon["id"],
        created=world.now(),
        customer=params.text("customer"),
        expires_at=params.integer("expires_at"),
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
    )


@routes.get("/v1/promotion_codes/{promotion_code}")
def retrieve_code(world: World, params: Params, promotion_code: str) -> Json:
    return world.get("promotion_code", promotion_code)


@routes.post("/v1/promotion_codes/{promotion_code}", "active", "metadata")
def update_code(world: World, params: Params, promotion_code: str) -> Json:
    found = world.get("promotion_code", promotion_code)
    found["active"] = params.flag("active", found["active"])
    found["metadata"] = params.metadata(found["metadata"])
    return found
