"""Test the options of the look-alike's Checkout: tax, promotion codes, trials, language, currency, and quantity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

DAY = 86_400
Open = Callable[..., Any]
Press = Callable[..., requests.Response]


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    """Return a customer without an address, as a site creates them."""
    return client.v1.customers.create({"email": "robin@example.org"}).id


@pytest.fixture
def open_session(client: stripe.StripeClient, customer: str) -> Open:
    def opened(price: str = "price_month", quantity: int = 1, **options: Any) -> Any:
        params: Any = {
            "mode": "payment" if price == "price_day" else "subscription",
            "customer": customer,
            "line_items": [{"price": price, "quantity": quantity}],
            "success_url": "https://www.example.news/",
            **options,
        }
        return client.v1.checkout.sessions.create(params)

    return opened


@pytest.fixture
def press(http: requests.Session) -> Press:
    def pressed(session: Any, choice: str, **entered: str) -> requests.Response:
        return http.post(session.url, data={"choice": choice, **entered}, allow_redirects=False, timeout=60)

    return pressed


SAVED = {"customer_update": {"address": "auto", "name": "auto"}}
SEATS = {
    "line_items": [{"price": "price_seat_month", "quantity": 9, "adjustable_quantity": {"enabled": True, "maximum": 5}}]
}


REFUSED: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"automatic_tax": {"enabled": True}}, None, "customer_tax_location_invalid"),
    ({"tax_id_collection": {"enabled": True}, "customer_update": {"address": "auto"}}, None, None),
    ({"tax_id_collection": {"enabled": True}, "customer_update": {"name": "auto"}}, None, None),
    ({"customer": "", **SAVED}, "customer_update", None),
    ({"billing_address_collection": "never"}, "billing_address_collection", None),
    ({"locale": "xx"}, "locale", None),
    ({"currency": "jpy"}, "line_items[0][price]", None),
    ({"discounts": [{"promotion_code": "promo_unheard"}]}, "discounts[0][promotion_code]", "resource_missing"),
    ({"discounts": [{"promotion_code": "promo_lastyear"}]}, "discounts[0][promotion_code]", None),
    ({"discounts": [{"promotion_code": "promo_twooff"}], "currency": "eur"}, "discounts[0][promotion_code]", None),
    (
        {"discounts": [{"promotion_code": "promo_twooff"}], "allow_promotion_codes": True},
        "allow_promotion_codes",
        None,
    ),
    ({"discounts": [{"promotion_code": "promo_twooff"}] * 2}, "discounts", None),
    ({"subscription_data": {"trial_period_days": 0}}, "subscription_data[trial_period_days]", None),
    ({"subscription_data": {"trial_period_days": 731}}, "subscription_data[trial_period_days]", None),
    (SEATS, "line_items[0][quantity]", None),
]


def test_option_that_stripe_refuses_is_refused_with_its_parameter(open_session: Open) -> None:
    for options, param, code in REFUSED:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            open_session(**options)
        assert (refused.value.param, refused.value.http_status) == (param, 400)
        assert code is None or refused.value.code == code


def test_tax_follows_the_address_and_stays_with_the_customer(
    open_session: Open, press: Press, client: stripe.StripeClient, control: Any, customer: str
) -> None:
    session = open_session(automatic_tax={"enabled": True}, **SAVED)
    assert (session.automatic_tax.status, session.amount_total) == ("requires_location_inputs", 500)
    page = press(session, "update", country="DE", postal_code="10115")
    assert "Tax" in page.text
    assert "$0.95" in page.text
    updated = client.v1.checkout.sessions.retrieve(session.id)
    assert (updated.amount_subtotal, updated.amount_total) == (500, 595)
    assert updated.total_details is not None
    assert updated.total_details.amount_tax == 95
    press(session, "pay", country="DE", postal_code="10115")
    saved = client.v1.customers.retrieve(customer)
    assert saved.address is not None
    assert (saved.address.country, saved.address.postal_code) == ("DE", "10115")
    control.advance(32 * DAY)
    invoices = client.v1.invoices.list({"customer": customer}).data
    assert [(one.subtotal, one.total, one.amount_paid) for one in invoices] == [(500, 595, 595)] * 2


def test_business_abroad_with_a_tax_id_pays_no_tax(
    open_session: Open, press: Press, client: stripe.StripeClient, customer: str
) -> None:
    session = open_session(automatic_tax={"enabled": True}, tax_id_collection={"enabled": True}, **SAVED)
    assert press(session, "pay", country="DE", tax_id="DE123456789", business_name="Verlag AG").status_code == 303
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert done.amount_total == 500
    assert done.customer_details is not None
    assert [one.value for one in done.customer_details.tax_ids or []] == ["DE123456789"]
    assert client.v1.customers.retrieve(customer).name == "Verlag AG"


def test_promotion_code_of_the_request_is_taken_off_for_its_months(
    open_session: Open, press: Press, client: stripe.StripeClient, control: Any, http: requests.Session, customer: str
) -> None:
    session = open_session(discounts=[{"promotion_code": "promo_welcome20"}])
    assert (session.amount_subtotal, session.amount_total) == (500, 400)
    page = http.get(session.url, timeout=60).text
    assert "WELCOME20" in page
    assert "-$1.00" in page
    assert 'name="promotion_code"' not in page
    press(session, "pay")
    control.advance(31 * 4 * DAY)
    totals = [one.total for one in client.v1.invoices.list({"customer": customer}).data]
    assert totals[-3:] == [400, 400, 400]
    assert set(totals[:-3]) == {500}
    assert client.v1.promotion_codes.retrieve("promo_welcome20").times_redeemed == 1


def test_promotion_code_entered_on_the_page_is_taken_off(
    open_session: Open, press: Press, client: stripe.StripeClient, control: Any, customer: str
) -> None:
    session = open_session(allow_promotion_codes=True)
    for word in ("nonsense", "LASTYEAR"):
        wrong = press(session, "update", promotion_code=word)
        assert (wrong.status_code, 'role="alert"' in wrong.text) == (400, True)
    assert "$3.00" in press(session, "update", promotion_code="twooff").text
    press(session, "pay", promotion_code="twooff")
    control.advance(31 * DAY)
    assert [one.total for one in client.v1.invoices.list({"customer": customer}).data] == [500, 300]


def test_pass_is_paid_with_discount_and_tax(open_session: Open, press: Press, client: stripe.StripeClient) -> None:
    code = {"discounts": [{"promotion_code": "promo_twooff"}]}
    session = open_session("price_day", automatic_tax={"enabled": True}, **SAVED, **code)
    press(session, "pay", country="FR")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert done.amount_total == 120
    assert done.payment_intent.amount == 120  # type: ignore[union-attr] # expanded


def test_price_is_paid_in_the_requested_currency(
    open_session: Open, press: Press, client: stripe.StripeClient, control: Any, customer: str
) -> None:
    session = open_session(currency="eur")
    assert (session.currency, session.amount_total) == ("eur", 450)
    assert "€4.50" in press(session, "update").text
    press(session, "pay")
    control.advance(31 * DAY)
    invoices = client.v1.invoices.list({"customer": customer}).data
    assert [(one.currency, one.total) for one in invoices] == [("eur", 450)] * 2
    with pytest.raises(stripe.InvalidRequestError, match="combine currencies"):
        open_session("price_year")


def test_new_price_has_the_currencies_that_it_was_given(open_session: Open, client: stripe.StripeClient) -> None:
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 700,
            "product": "prod_all",
            "recurring": {"interval": "month"},
            "currency_options": {"sek": {"unit_amount": 7_500}},
        }
    )
    found = client.v1.prices.retrieve(price.id, {"expand": ["currency_options"]}).to_dict()
    assert {name: option["unit_amount"] for name, option in found["currency_options"].items()} == {"sek": 7_500}
    assert open_session(price.id, currency="sek").amount_total == 7_500


def test_trial_shows_what_is_paid_later_and_keeps_the_discount(
    open_session: Open, press: Press, client: stripe.StripeClient, control: Any, http: requests.Session, customer: str
) -> None:
    trial = {"subscription_data": {"trial_period_days": 14}}
    session = open_session(discounts=[{"promotion_code": "promo_twooff"}], **trial)
    assert session.amount_total == 0
    page = http.get(session.url, timeout=60).text
    assert "14 days free, then every month" in page
    assert "Start the trial" in page
    press(session, "pay")
    assert client.v1.subscriptions.list({"customer": customer}).data[0].status == "trialing"
    control.advance(15 * DAY)
    assert [one.total for one in client.v1.invoices.list({"customer": customer}).data] == [300, 0]


def test_buyer_changes_the_quantity_within_its_limits(
    open_session: Open, press: Press, client: stripe.StripeClient
) -> None:
    limits = {"enabled": True, "minimum": 1, "maximum": 1_000}
    line = {"price": "price_seat_month", "quantity": 12, "adjustable_quantity": limits}
    session = open_session(line_items=[line])
    assert session.amount_total == 12 * 400
    assert "$80.00" in press(session, "update", quantity="20").text
    press(session, "pay", quantity="2000")
    (subscription,) = client.v1.subscriptions.list().data
    assert subscription["items"].data[0].quantity == 1_000


@pytest.mark.parametrize(("locale", "lang", "word"), [("de", "de", "Abonnieren"), ("auto", "en", "Subscribe")])
def test_page_is_in_the_requested_language(
    locale: Any, lang: str, word: str, open_session: Open, http: requests.Session
) -> None:
    session = open_session(locale=locale, billing_address_collection="required")
    page = http.get(session.url, timeout=60).text
    assert f'<html lang="{lang}">' in page
    assert word in page
    assert 'name="postal_code"' in page
    assert (session.locale, session.billing_address_collection) == (locale, "required")
