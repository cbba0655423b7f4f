"""Coupons, the promotion codes for them, and what they take off."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import periods
from stripe_lookalike.domain.catalogue import LONG_AGO
from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World


def seed(world: World) -> None:
    """Add the demo's codes: `WELCOME20` and `TWOOFF` work, `LASTYEAR` has ended."""
    for coupon_id, terms in (
        ("twenty_percent", {"percent_off": 20, "duration": "repeating", "duration_in_months": 3}),
        ("two_dollars", {"amount_off": 200, "currency": "usd"}),
    ):
        world.add(blank("coupon", id=coupon_id, name=coupon_id.replace("_", " "), created=LONG_AGO, **terms))
    for code_id, code, coupon_id in (
        ("promo_welcome20", "WELCOME20", "twenty_percent"),
        ("promo_twooff", "TWOOFF", "two_dollars"),
        ("promo_lastyear", "LASTYEAR", "twenty_percent"),
    ):
        made = new_code(world, code_id, code, coupon_id, created=LONG_AGO)
        made["active"] = code != "LASTYEAR"


def new_code(world: World, code_id: str, code: str, coupon_id: str, **fields: object) -> Json:
    """Create a promotion code for a coupon."""
    promotion = {"coupon": coupon_id, "type": "coupon"}
    return world.add(blank("promotion_code", id=code_id, code=code, promotion=promotion, **fields))


def usable_code(world: World, code: Json, customer: str | None, currency: str, param: str) -> Json:
    """Return a promotion code. Raises: `ApiError` 400 if it cannot be used, or not by this customer in this currency."""
    coupon = coupon_of(world, code)
    most = [(one["max_redemptions"], one["times_redeemed"]) for one in (code, coupon)]
    if code["expires_at"] is not None and code["expires_at"] <= world.now():
        raise invalid("This promotion code has expired.", param, "coupon_expired")
    if not code["active"] or not coupon["valid"]:
        raise invalid("This promotion code is inactive.", param)
    if any(limit is not None and used >= limit for limit, used in most):
        raise invalid("This promotion code has reached its limit of redemptions.", param)
    if code["customer"] not in (None, customer):
        raise invalid("This promotion code belongs to another customer.", param)
    if coupon["amount_off"] is not None and coupon["currency"] != currency:
        raise invalid(f"This promotion code is for `{coupon['currency']}`, not for `{currency}`.", param)
    return code


def coupon_of(world: World, code: Json) -> Json:
    """Return the coupon of a promotion code, or of a discount, which has it in `source`."""
    holder = code.get("promotion") or code["source"]
    return world.get("coupon", holder["coupon"])


def cut(coupon: Json | None, amount: int) -> int:
    """Return what a coupon takes off an amount in cents."""
    if coupon is None or amount <= 0:
        return 0
    if coupon["percent_off"] is not None:
        return round(amount * int(coupon["percent_off"]) / 100)
    return min(int(coupon["amount_off"]), amount)


def attach(world: World, subscription: Json, coupon: Json, code: Json | None) -> None:
    """Give a new subscription the discount that its Checkout session had."""
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    discount = blank(
        "discount",
        id="di_1" + ids.letters(23),
        customer=subscription["customer"],
        end=periods.add(world.now(), "month", months) if months else None,
        promotion_code=code["id"] if code else None,
        source={"coupon": coupon["id"], "type": "coupon"},
        start=world.now(),
        subscription=subscription["id"],
    )
    world.add(discount)
    subscription["discounts"] = [discount["id"]]


def running(world: World, subscription: Json) -> Json | None:
    """Return the discount that a subscription's next invoice has; drop one that has ended."""
    found = [world.get("discount", name) for name in subscription.get("discounts") or []]
    left = [discount for discount in found if discount["end"] is None or discount["end"] > world.now()]
    subscription["discounts"] = [discount["id"] for discount in left]
    return left[0] if left else None


def spend(world: World, subscription: Json, discount: Json) -> None:
    """End a discount of one payment, which an invoice has just had."""
    if coupon_of(world, discount)["duration"] == "once":
        subscription["discounts"] = []
