import os
from datetime import UTC, datetime
from urllib.parse import quote

import requests

PAYWALL, HEADERS = os.environ["PAYWALL"], {"Authorization": f"Bearer {os.environ['ADMIN_KEY']}"}
PLANS = {"supporter.monthly": "supporter", "supporter.yearly": "supporter"}  # Products, and plans in paywall.toml.
PAID_AT_GOOGLE = ("ACTIVE", "IN_GRACE_PERIOD", "CANCELED")  # A canceled one is paid until it expires.


def report_apple(status, transaction, renewal):
    ends = renewal["gracePeriodExpiresDate"] if status == 4 else transaction["expiresDate"]
    until = datetime.fromtimestamp(ends / 1000, UTC).isoformat() if status in (1, 4) else None
    name, reader = transaction["originalTransactionId"], transaction["appAccountToken"]
    report(reader, f"appstore/{name}", transaction["productId"], until)


def report_google(order, purchase):
    is_paid = purchase["subscriptionState"].removeprefix("SUBSCRIPTION_STATE_") in PAID_AT_GOOGLE
    item, reader = purchase["lineItems"][0], purchase["externalAccountIdentifiers"]["obfuscatedExternalAccountId"]
    report(reader, f"googleplay/{order}", item["productId"], item["expiryTime"] if is_paid else None)


def report(reader, subscription, product, until):
    url = f"{PAYWALL}/v1/readers/{quote(reader)}/external/{subscription}"
    method, body = ("PUT", {"plan": PLANS[product], "until": until}) if until else ("DELETE", None)
    answer = requests.request(method, url, headers=HEADERS, json=body, timeout=10)
    if until or answer.status_code != 404:  # What was never reported needs no end.
        answer.raise_for_status()
