"""A client for the paywall: one connection pool, short time-outs, and a fallback decision during an outage."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import requests

log = logging.getLogger(__name__)

Decision = Mapping[str, Any]
"""The response of `POST /v1/access`; docs/how-to/integration.md describes its fields."""

CHECK_TIMEOUT = (1.0, 2.0)  # seconds to connect and to answer; the service answers within 50 ms, even in an outage
STRIPE_TIMEOUT = (1.0, 15.0)  # for checkout and portal, which wait for Stripe

UNREACHABLE: Decision = {
    "show": "upsell",
    "reason": "service_unreachable",
    "parts": {"facts": "open"},
    "features": [],
    "source": None,
    "until": None,
    "meter": None,
    "offer": None,
    "next": [],
    "degraded": True,
}
"""The fallback while the service is unreachable: only the facts are open."""


class PaywallError(Exception):
    """A call failed. `status` is the response's, or 503 if the service is unreachable."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the paywall answered {status}")
        self.status = status


class Paywall:
    """The calls that a site needs. Threads can share it."""

    def __init__(self, url: str, site_key: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # ignore the machine's proxies and .netrc
        self._session.headers["Authorization"] = f"Bearer {site_key}"

    def check(self, story: Mapping[str, Any], identity: Mapping[str, str | bool], **options: Any) -> Decision:
        """Return the decision for a story. It never raises. `options`: `count`, `context`, `pass`."""
        try:
            decision = self._post("/v1/access", {"story": story, **identity, **options}, CHECK_TIMEOUT)
        except PaywallError:
            return UNREACHABLE
        return decision if isinstance(decision.get("parts"), dict) else UNREACHABLE

    def check_batch(self, stories: Sequence[Mapping[str, Any]], identity: Mapping[str, str | bool]) -> list[Decision]:
        """Return each story's decision without counting a read; an empty list if the service is unreachable."""
        try:
            decisions = self._post("/v1/access/batch", {"stories": stories, **identity}, CHECK_TIMEOUT).get("decisions")
        except PaywallError:
            return []
        return decisions if isinstance(decisions, list) and len(decisions) == len(stories) else []

    def checkout_url(self, reader: str, choice: Mapping[str, str], return_url: str) -> str:
        """Return the URL of the checkout page. `choice`: `{"plan": id}` or `{"price": id}`.

        Raises: `PaywallError`, with status 409 if the reader already has the plan.
        """
        body = {"reader": reader, **choice, "return_url": return_url}
        return str(self._post("/v1/checkout", body, STRIPE_TIMEOUT)["url"])

    def confirm_checkout(self, session_id: str) -> None:
        """Let the service read the session from Stripe now, in case the webhook is late."""
        try:
            self._post("/v1/checkout/returned", {"session": session_id}, STRIPE_TIMEOUT)
        except PaywallError:
            return  # the page waits for the webhook

    def portal_url(self, reader: str, return_url: str) -> str:
        """Return the URL of the customer portal. Raises: `PaywallError`, with status 404 if there is no subscription."""
        return str(self._post("/v1/portal", {"reader": reader, "return_url": return_url}, STRIPE_TIMEOUT)["url"])

    def summary(self, reader: str) -> dict[str, Any] | None:
        """Return what the reader's account page shows: features, plans with their ends; `None` while it is unknown."""
        try:
            return self._call("GET", f"/v1/readers/{quote(reader, safe='')}/summary", None, CHECK_TIMEOUT)
        except PaywallError:
            return None

    def groups(self, owner: str) -> list[dict[str, Any]]:
        """Return the groups that a reader owns; an empty list if the service is unreachable."""
        try:
            groups = self._call("GET", f"/v1/groups?{urlencode({'owner': owner})}", None, CHECK_TIMEOUT).get("groups")
        except PaywallError:
            return []
        return groups if isinstance(groups, list) else []

    def invite(self, group: str, owner: str, until: datetime) -> tuple[str, str]:
        """Create an invitation to a seat of a group, and return its ID and its token. Raises: `PaywallError`."""
        body = {"owner": owner, "until": until.isoformat()}
        once = {"Idempotency-Key": secrets.token_urlsafe(16)}
        made = self._call("POST", f"/v1/groups/{quote(group, safe='')}/invites", body, CHECK_TIMEOUT, once)
        return str(made["id"]), str(made["invite"])

    def withdraw_invite(self, group: str, owner: str, invite: str) -> None:
        """Withdraw an invitation. Raises: `PaywallError`, with status 404 if it was used meanwhile."""
        path = f"/v1/groups/{quote(group, safe='')}/invites/{quote(invite, safe='')}"
        self._call("DELETE", path, {"owner": owner}, CHECK_TIMEOUT)

    def take_seat_back(self, group: str, owner: str, reader: str) -> None:
        """Take a reader's seat back. Raises: `PaywallError`."""
        path = f"/v1/groups/{quote(group, safe='')}/seats/{quote(reader, safe='')}"
        self._call("DELETE", path, {"owner": owner}, CHECK_TIMEOUT)

    def accept_invite(self, invite: str, reader: str) -> None:
        """Give a reader the seat of an invitation. Raises: `PaywallError`: 404 not valid any more, 409 no seat is free."""
        self._post("/v1/invites/accept", {"invite": invite, "reader": reader}, CHECK_TIMEOUT)

    def _post(self, path: str, body: Mapping[str, Any], seconds: tuple[float, float]) -> dict[str, Any]:
        return self._call("POST", path, body, seconds)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        seconds: tuple[float, float],
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        for attempt in (1, 2):
            try:
                response = self._session.request(method, self._url + path, json=body, timeout=seconds, headers=headers)
                break
            except requests.ConnectionError as error:
                # Retry once: a restart closes kept connections. Every call can be repeated.
                if attempt == 2 or isinstance(error, requests.Timeout):
                    raise self._error(path, 503) from error
            except requests.RequestException as error:
                raise self._error(path, 503) from error
        if response.status_code not in (requests.codes.ok, requests.codes.created):
            raise self._error(path, response.status_code)
        try:
            fields = response.json()
        except requests.JSONDecodeError as error:
            raise self._error(path, 502) from error
        if not isinstance(fields, dict):
            raise self._error(path, 502)
        return fields

    def _error(self, path: str, status: int) -> PaywallError:
        log.warning("paywall call failed: %s answered %d", path.partition("?")[0], status)
        return PaywallError(status)
