"""The options of a Checkout session: tax, tax IDs, address, promotion codes, language and currency, and what Stripe refuses."""

from __future__ import annotations

from stripe_lookalike.domain import catalogue, discounts, lifecycle
from stripe_lookalike.errors import ApiError, Json, invalid
from stripe_lookalike.params import Params
from stripe_lookalike.world import World

PARAMETERS = (
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "currency",
    "customer_update",
    "discounts",
    "locale",
    "tax_id_collection",
)
_LOCALES = (
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi",
    "zh", "zh-HK", "zh-TW",
)  # fmt: skip


def read(world: World, params: Params, prices: list[Json]) -> Json:
    """Return the fields of a session that its options set. Raises: `ApiError` 400 as Stripe does."""
    currency = _currency(world, params, prices)
    updates = _customer_updates(params)
    customer = world.table("customer").get(params.text("customer") or "")
    taxed = params.inner("automatic_tax").flag("enabled")
    collects_tax_ids = params.inner("tax_id_collection").flag("enabled")
    if customer is not None:
        _check_updates(customer, updates, taxed, collects_tax_ids)
    fields: Json = {
        "allow_promotion_codes": params.flag("allow_promotion_codes") or None,
        "billing_address_collection": params.choice("billing_address_collection", ("auto", "required")),
        "currency": currency,
        "discounts": _discounts(world, params, currency),
        "locale": params.choice("locale", _LOCALES),
        "_updates": updates,
        "_collects_tax_ids": collects_tax_ids,
    }
    if taxed:
        fields["automatic_tax"] = {
            "enabled": True,
            "liability": {"type": "self"},
            "provider": "stripe",
            "status": "requires_location_inputs",
        }
    return fields


def _currency(world: World, params: Params, prices: list[Json]) -> str:
    currency = params.text("currency") or (prices[0]["currency"] if prices else "usd")
    for number, price in enumerate(prices):
        if not catalogue.has_currency(price, currency):
            raise invalid(
                f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
                f"`{currency}`.",
                f"line_items[{number}][price]",
            )
    customer = params.text("customer")
    for one in world.table("subscription").values():
        is_running = one["customer"] == customer and one["status"] not in lifecycle.TERMINAL
        if is_running and one["currency"] != currency and params.text("mode") == "subscription":
            raise invalid(
                "You cannot combine currencies on a single customer. This customer has an active subscription with "
                f"currency {one['currency']}."
            )
    return currency


def _customer_updates(params: Params) -> tuple[str, ...]:
    given = params.inner("customer_update")
    names = ("address", "name", "shipping")
    chosen = {name: given.choice(name, ("auto", "never")) for name in names}
    if params.given("customer_update") and not params.text("customer"):
        raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
    return tuple(name for name in names if chosen[name] == "auto")


def _check_updates(customer: Json, updates: tuple[str, ...], taxed: bool, collects_tax_ids: bool) -> None:
    """Raise Stripe's errors for a customer that Checkout may not complete; they name no parameter."""
    lacks_address = not customer.get("address")
    if taxed and lacks_address and not {"address", "shipping"} & {*updates}:
        raise ApiError(
            400,
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the "
            "Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' to save "
            "the address entered in Checkout to the Customer.",
            code="customer_tax_location_invalid",
        )
    if collects_tax_ids and "name" not in updates:
        raise invalid(
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an "
            "existing customer, please set `customer_update[name]` to `auto`."
        )
    if collects_tax_ids and lacks_address and "address" not in updates:
        raise invalid(
            "We could not find a valid address on the provided customer. To enable tax ID collection, please set "
            "customer_update[address] to auto."
        )


def _discounts(world: World, params: Params, currency: str) -> list[Json]:
    rows = params.rows("discounts")
    if not rows:
        return []
    if params.given("allow_promotion_codes"):
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.", "allow_promotion_codes"
        )
    if len(rows) > 1:
        raise invalid("You may only specify one discount.", "discounts")
    if (coupon := rows[0].text("coupon")) is not None:
        world.get("coupon", coupon, rows[0].name("coupon"), 400)
        return [{"coupon": coupon, "promotion_code": None}]
    name = rows[0].name("promotion_code")
    code = world.get("promotion_code", rows[0].required("promotion_code"), name, 400)
    discounts.usable_code(world, code, params.text("customer"), currency, name)
    return [{"coupon": None, "promotion_code": code["id"]}]
