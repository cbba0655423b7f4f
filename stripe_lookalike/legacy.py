"""Object shapes before 2025-03-31.basil, for clients and endpoints that are pinned to an old API version.

Basil moved the billing period from the subscription to its items. On an invoice, it moved `subscription`, `charge`,
`payment_intent`, `paid` and the lines' `price` into `parent`, `payments` and `pricing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stripe_lookalike.errors import Json

BASIL = "2025-03-31"


def before_basil(version: str | None) -> bool:
    """Return whether a version is older than basil. Versions begin with their date, so they compare as text."""
    return bool(version) and str(version)[:10] < BASIL


def in_version(value: Any, version: str | None, find: Callable[[str], Json | None] = lambda object_id: None) -> Any:
    """Return `value` in the shape of that version. `find` returns an object by ID, for what only the old shape holds."""
    if not before_basil(version):
        return value
    if isinstance(value, list):
        return [in_version(inner, version, find) for inner in value]
    if not isinstance(value, dict):
        return value
    shaped = {key: in_version(inner, version, find) for key, inner in value.items()}
    kind = shaped.get("object")
    if kind == "subscription":
        return _subscription(shaped, _span(value["items"]["data"]))
    if kind == "subscription_item":
        return _without(shaped, "current_period_start", "current_period_end", "billed_until", "discounts")
    if kind == "invoice":
        return _invoice(shaped, find)
    return shaped


def event_in_version(event: Json, version: str | None, find: Callable[[str], Json | None]) -> Json:
    """Return an event in the shape of that version, with a changed period in `previous_attributes`."""
    if not before_basil(version):
        return event
    shaped: Json = in_version(event, version, find)
    shaped["api_version"] = version
    previous = event["data"].get("previous_attributes") or {}
    if event["data"]["object"].get("object") == "subscription" and "items" in previous:
        shaped["data"]["previous_attributes"].update(_span(previous["items"]["data"]))
    return shaped


def _span(items: list[Json]) -> Json:
    if not items:
        return {}
    return {
        "current_period_start": min(item["current_period_start"] for item in items),
        "current_period_end": max(item["current_period_end"] for item in items),
    }


def _subscription(shaped: Json, span: Json) -> Json:
    gone = ("automatic_tax", "billing_mode", "billing_schedules", "billing_cycle_anchor_config", "managed_payments")
    old = _without(
        shaped, *gone, "status_details", "trial_settings", "customer_account", "discounts", "invoice_settings"
    )
    rows = shaped["items"]["data"]
    only = rows[0] if len(rows) == 1 else {}
    return {**old, **span, "plan": only.get("plan"), "quantity": only.get("quantity"), "discount": None}


def _invoice(shaped: Json, find: Callable[[str], Json | None]) -> Json:
    details = (shaped.get("parent") or {}).get("subscription_details") or {}
    payment = find("inpay_" + str(shaped["id"]).removeprefix("in_")) or {}
    intent = find(payment.get("payment", {}).get("payment_intent") or "") or {}
    gone = ("parent", "payments", "amount_overpaid", "customer_account", "status_details", "total_taxes", "issuer")
    old = _without(shaped, *gone)
    old.update(
        subscription=details.get("subscription"),
        payment_intent=intent.get("id"),
        charge=intent.get("latest_charge"),
        paid=shaped["status"] == "paid",
        discount=None,
        tax=None,
        total_tax_amounts=[],
    )
    old["lines"] = {**shaped["lines"], "data": [_line(line, find) for line in shaped["lines"]["data"]]}
    return old


def _line(line: Json, find: Callable[[str], Json | None]) -> Json:
    details = (line.get("parent") or {}).get("subscription_item_details") or {}
    price = find(line["pricing"]["price_details"]["price"])
    old = _without(line, "parent", "pricing", "pretax_credit_amounts", "taxes", "quantity_decimal", "subtotal")
    old.update(
        price=price,
        proration=bool(details.get("proration")),
        subscription=details.get("subscription"),
        subscription_item=details.get("subscription_item"),
        tax_amounts=[],
        tax_rates=[],
        type="subscription",
    )
    return old


def _without(shaped: Json, *names: str) -> Json:
    return {key: value for key, value in shaped.items() if key not in names}
