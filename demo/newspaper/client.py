"""How a site asks the paywall: one connection pool, short time-outs, and an honest answer when there is none."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import requests

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]
"""What `POST /v1/access` says, as the contract has it."""

ASK_SECONDS = (
    1.0,
    2.0,
)  # to connect, to answer: the service itself answers within 50 ms, also in an outage of its store
PAY_SECONDS = (1.0, 15.0)  # checkout and portal wait for Stripe

UNREACHED: Answer = {
    "show": "upsell",
    "reason": "service_unreachable",
    "parts": {"facts": "open"},
    "features": [],
    "source": None,
    "until": None,
    "meter": None,
    "offer": None,
    "degraded": True,
}
"""Our own answer where the service cannot be reached: the facts are everybody's, the rest stays here."""


class Failed(Exception):
    """The service did not do what was asked: `status` is its answer's, 503 where it could not be reached."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the paywall answered {status}")
        self.status = status


class Paywall:
    """The five calls a site needs. Safe to share between threads: the session's pool is, and nothing else is kept."""

    def __init__(self, url: str, site_key: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a .netrc of the machine stands between us and the service
        self._session.headers["Authorization"] = f"Bearer {site_key}"

    def access(self, story: Mapping[str, Any], who: Mapping[str, str], **more: Any) -> Answer:
        """May this reader or visitor read this story? Always an answer. `more`: count, context, pass."""
        try:
            answer = self._post("/v1/access", {"story": story, **who, **more}, ASK_SECONDS)
        except Failed:
            return UNREACHED
        return answer if isinstance(answer.get("parts"), dict) else UNREACHED

    def batch(self, stories: Sequence[Mapping[str, Any]], who: Mapping[str, str]) -> list[Answer]:
        """What a read of each story would show, counting nothing; an empty list where the service cannot say."""
        try:
            decisions = self._post("/v1/access/batch", {"stories": stories, **who}, ASK_SECONDS).get("decisions")
        except Failed:
            return []
        return decisions if isinstance(decisions, list) and len(decisions) == len(stories) else []

    def checkout(self, reader: str, choice: Mapping[str, str], return_url: str) -> str:
        """The address of the page to pay on. `choice`: {"plan": id} or {"price": id}. Raises Failed: 409 = holds it already."""
        body = {"reader": reader, **choice, "return_url": return_url}
        return str(self._post("/v1/checkout", body, PAY_SECONDS)["url"])

    def returned(self, session_id: str) -> None:
        """A reader is back from the page to pay on: the service looks at once, even if Stripe's news is late."""
        try:
            self._post("/v1/checkout/returned", {"session": session_id}, PAY_SECONDS)
        except Failed:
            return  # The news comes by itself; until then the page waits for it.

    def portal(self, reader: str, return_url: str) -> str:
        """The address of the page to change or cancel on. Raises Failed: 404 = nothing to manage."""
        return str(self._post("/v1/portal", {"reader": reader, "return_url": return_url}, PAY_SECONDS)["url"])

    def _post(self, path: str, body: Mapping[str, Any], seconds: tuple[float, float]) -> dict[str, Any]:
        for attempt in (1, 2):
            try:
                response = self._session.post(self._url + path, json=body, timeout=seconds)
                break
            except requests.ConnectionError as error:
                # Once more at once: a kept connection that the service closed while it restarted. Every call can be repeated.
                if attempt == 2 or isinstance(error, requests.Timeout):
                    raise self._failed(path, 503) from error
            except requests.RequestException as error:
                raise self._failed(path, 503) from error
        if response.status_code != requests.codes.ok:
            raise self._failed(path, response.status_code)
        try:
            answer = response.json()
        except requests.JSONDecodeError as error:
            raise self._failed(path, 502) from error
        if not isinstance(answer, dict):
            raise self._failed(path, 502)
        return answer

    def _failed(self, path: str, status: int) -> Failed:
        log.warning("paywall call failed: %s answered %d", path, status)
        return Failed(status)
