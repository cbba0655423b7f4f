"""`/v1/products` and `/v1/prices`."""

from __future__ import annotations

from stripe_lookalike import ids
from stripe_lookalike.domain import catalogue
from stripe_lookalike.errors import Json, invalid, missing
from stripe_lookalike.lists import newest_first, page, time_filter
from stripe_lookalike.params import Params
from stripe_lookalike.routes import Routes
from stripe_lookalike.shapes import blank
from stripe_lookalike.world import World

routes = Routes()

_PRODUCT = ("active", "description", "metadata", "name")
_PRICE = ("active", "currency_options", "lookup_key", "metadata", "transfer_lookup_key")


@routes.list("/v1/products", "active", "created", "ids")
def list_products(world: World, params: Params) -> Json:
    active = params.flag("active") if params.given("active") else None
    wanted, created = params.texts("ids"), time_filter(params, "created")
    rows = newest_first(world.table("product").values())
    return page(
        "/v1/products",
        rows,
        params,
        lambda row: (
            (active is None or row["active"] == active)
            and (not wanted or row["id"] in wanted)
            and created(row["created"])
        ),
    )


@routes.post("/v1/products", *_PRODUCT, "id")
def create_product(world: World, params: Params) -> Json:
    now = world.now()
    product_id = params.text("id") or "prod_" + ids.letters(14)
    if product_id in world.table("product"):
        raise invalid(f"Product already exists: {product_id}.", "id", "resource_already_exists")
    product = blank("product", id=product_id, name=params.required("name"), created=now, updated=now)
    _set_product(product, params)
    world.add(product)
    world.emit("product.created", product)
    return product


def _set_product(product: Json, params: Params) -> None:
    for name in ("description", "name"):
        if params.given(name):
            product[name] = params.text(name)
    product["active"] = params.flag("active", product["active"])
    product["metadata"] = params.metadata(product["metadata"])


@routes.get("/v1/products/{product}")
def retrieve_product(world: World, params: Params, product: str) -> Json:
    return world.get("product", product)


@routes.post("/v1/products/{product}", *_PRODUCT)
def update_product(world: World, params: Params, product: str) -> Json:
    found = world.get("product", product)
    with world.changing(found, "product.updated"):
        _set_product(found, params)
        found["updated"] = world.now()
    return found


@routes.list("/v1/prices", "active", "created", "currency", "lookup_keys", "product", "recurring", "type")
def list_prices(world: World, params: Params) -> Json:
    keys, created = params.texts("lookup_keys"), time_filter(params, "created")
    if len(keys) > 10:
        raise invalid("You may only specify up to 10 lookup_keys.", "lookup_keys")
    active = params.flag("active") if params.given("active") else None
    wanted = {name: params.text(name) for name in ("currency", "product", "type") if params.text(name)}
    interval = params.inner("recurring").text("interval")

    def keep(row: Json) -> bool:
        return (
            (active is None or row["active"] == active)
            and (not keys or row["lookup_key"] in keys)
            and (interval is None or (row["recurring"] or {}).get("interval") == interval)
            and all(row[name] == value for name, value in wanted.items())
            and created(row["created"])
        )

    return page("/v1/prices", newest_first(world.table("price").values()), params, keep)


@routes.post("/v1/prices", *_PRICE, "currency", "product", "recurring", "unit_amount")
def create_price(world: World, params: Params) -> Json:
    amount = params.integer("unit_amount")
    if amount is None:
        raise params.missing_error("unit_amount")
    product = params.required("product")
    world.get("product", product, "product", 400)
    price = catalogue.new_price(
        ids.new("price_1"), product, params.required("currency").lower(), amount, world.now(), _recurring(params)
    )
    _set_price(world, price, params)
    world.add(price)
    world.emit("price.created", price)
    return price


def _recurring(params: Params) -> Json | None:
    """Return a price's `recurring` object from its parameters; `None` for a one-time price."""
    if not params.given("recurring"):
        return None
    recurring = params.inner("recurring")
    interval = recurring.choice("interval", ("day", "week", "month", "year"))
    if interval is None:
        raise recurring.missing_error("interval")
    return catalogue.recurring(interval, recurring.integer("interval_count", 1) or 1)


def _set_price(world: World, price: Json, params: Params) -> None:
    options = params.inner("currency_options")
    amounts = {currency: options.inner(currency).integer("unit_amount") or 0 for currency in options}
    price["_currency_options"] = {**price.get("_currency_options", {}), **amounts}
    price["active"] = params.flag("active", price["active"])
    price["metadata"] = params.metadata(price["metadata"])
    if params.given("lookup_key"):
        _set_lookup_key(world, price, params.text("lookup_key"), params.flag("transfer_lookup_key"))


def _set_lookup_key(world: World, price: Json, key: str | None, transfer: bool) -> None:
    holder = next((row for row in world.table("price").values() if key and row["lookup_key"] == key), None)
    if holder is not None and holder["id"] != price["id"]:
        if not transfer:
            raise invalid(f"A price (`{holder['id']}`) already uses that lookup key.", "lookup_key")
        with world.changing(holder, "price.updated"):
            holder["lookup_key"] = None
    price["lookup_key"] = key


@routes.get("/v1/prices/{price}")
def retrieve_price(world: World, params: Params, price: str) -> Json:
    return world.get("price", price)


@routes.post("/v1/prices/{price}", *_PRICE)
def update_price(world: World, params: Params, price: str) -> Json:
    found = world.get("price", price)
    with world.changing(found, "price.updated"):
        _set_price(world, found, params)
    return found


@routes.list("/v1/products/{product}/features")
def list_product_features(world: World, params: Params, product: str) -> Json:
    world.get("product", product)
    rows = [row for row in world.table("product_feature").values() if row["_product"] == product]
    return page(f"/v1/products/{product}/features", rows[::-1], params)


@routes.post("/v1/products/{product}/features", "entitlement_feature")
def add_product_feature(world: World, params: Params, product: str) -> Json:
    world.get("product", product)
    feature = world.get(
        "entitlements.feature", params.required("entitlement_feature"), "entitlement_feature", status=400
    )
    row = {
        "id": ids.new("prodft_1"),
        "object": "product_feature",
        "entitlement_feature": feature,
        "livemode": False,
        "_product": product,
    }
    return world.add(row)


@routes.delete("/v1/products/{product}/features/{feature}")
def remove_product_feature(world: World, params: Params, product: str, feature: str) -> Json:
    row = world.table("product_feature").get(feature)
    if row is None or row["_product"] != product:
        raise missing("product feature", feature)
    del world.table("product_feature")[feature]
    return {"id": feature, "object": "product_feature", "deleted": True}
