"""Requests to the OpenID provider: its metadata and signing keys, codes for tokens, and userinfo.

Metadata and keys are requested when first needed and kept for an hour. Anyone can start a sign-in, so a process sends few
requests at once, few more wait for their turn, and one address alone never fills the queue. They wait in threads that answer
nothing else (`rsgi`), of which there are more than may wait. A provider that did not answer gets a pause.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.adapters.openid.attempt import SignInFailed, error_code
from service.adapters.openid.settings import OpenIdSettings

TIMEOUT = (2.0, 5.0)
"""Seconds to connect, and to read a response."""
CACHE_SECONDS = 3_600.0
"""Seconds for which metadata and keys are kept."""
KEY_REFRESH_INTERVAL = 60.0
"""Seconds between two early refreshes of the keys, for a key ID that is not among them."""
PAUSE_SECONDS = 5.0
"""Seconds for which a provider that did not answer gets no request."""
CONCURRENT_REQUESTS = 4
"""Requests that a process sends to the provider at once."""
MAX_THREADS = 15
MAX_THREADS_OF_AN_ADDRESS = 12
"""Threads of a process that send a request or wait for their turn: of all, and of those with a code from one address."""
QUEUE_SECONDS = 2.0
"""Seconds for which a thread waits for its turn."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """The part of the discovery document that is used (OpenID Connect Discovery 1.0, section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    client_auth_method: str
    """`client_secret_basic` or `client_secret_post`."""
    scopes: frozenset[str]
    sends_issuer: bool
    """Whether every authorization response carries `iss` (RFC 9207)."""


class OpenIdProvider:
    """A client of one provider.

    Every method raises `SignInFailed` ("away") when the provider is unavailable or its response cannot be used.
    """

    def __init__(
        self,
        settings: OpenIdSettings,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        patience: float = QUEUE_SECONDS,
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._patience = patience
        self._slots = threading.BoundedSemaphore(CONCURRENT_REQUESTS)
        self._lock = threading.Lock()
        self._threads: Counter[str] = Counter()
        self._paused_until = float("-inf")
        self._metadata: tuple[float, ProviderMetadata] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._refreshed_at = float("-inf")

    def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata, at most an hour old."""
        if self._metadata is None or self._monotonic() - self._metadata[0] >= CACHE_SECONDS:
            url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._metadata = self._monotonic(), self._parse_metadata(self._get(url, "discovery"))
        return self._metadata[1]

    def keys(self, *, refresh: bool = False) -> KeySet:
        """Return the provider's public keys, at most an hour old.

        `refresh` requests them again, at most once a minute, because a token names a key that is not among them.
        """
        now = self._monotonic()
        refresh = refresh and now - self._refreshed_at >= KEY_REFRESH_INTERVAL
        if refresh:
            self._refreshed_at = now
        if refresh or self._keys is None or now - self._keys[0] >= CACHE_SECONDS:
            found = self._get(self.metadata().jwks_uri, "keys")
            try:
                self._keys = self._monotonic(), KeySet.import_key_set(found)  # type: ignore[arg-type]  # it validates
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                raise SignInFailed("away", "keys_unreadable") from None
        return self._keys[1]

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """Return the claims about the user of this token; nothing where the provider has no userinfo endpoint."""
        url = self.metadata().userinfo_endpoint
        return self._get(url, "userinfo", access_token) if url else {}

    def exchange_code(self, code: str, verifier: str, address: str) -> dict[str, Any]:
        """Exchange an authorization code for tokens (RFC 6749, section 4.1.3; `verifier` is of RFC 7636).

        `address` is the one that the code came from.

        Raises: SignInFailed, also "unaccepted", if the provider refuses the code or its response is no JSON object.
        """
        metadata, settings = self.metadata(), self._settings
        form = {
            "grant_type": "authorization_code",
            "redirect_uri": settings.redirect_uri,
            "code": code,
            "code_verifier": verifier,
        }
        with self.request_slot(address), self._session() as session:
            if metadata.client_auth_method == "client_secret_basic":
                session.auth = (settings.client_id, settings.client_secret)
            else:
                form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
            # A redirect is not followed: it would carry the secret to another address.
            response = session.post(metadata.token_endpoint, data=form, timeout=TIMEOUT, allow_redirects=False)
            tokens = _json_object(response) if response.status_code < 500 else None
            if tokens is None:
                response.raise_for_status()
                raise SignInFailed("unaccepted", "token_answer_unreadable")
        if "error" in tokens:
            raise SignInFailed("unaccepted", f"code_{error_code(tokens['error'])}")
        return tokens

    @contextmanager
    def request_slot(self, address: str = "") -> Iterator[None]:
        """Hold one of the few slots for a request; turn its failures into `SignInFailed` ("away").

        Without an address, the request is one for everybody, such as the keys.
        """
        if self._monotonic() < self._paused_until:
            raise SignInFailed("away", "resting")
        with self._place_in_queue(address):
            if not self._slots.acquire(timeout=self._patience):
                raise SignInFailed("away", "busy")
            try:
                yield
            except requests.RequestException as error:
                if isinstance(error, requests.ConnectionError | requests.Timeout):
                    self._paused_until = self._monotonic() + PAUSE_SECONDS
                raise SignInFailed("away", type(error).__name__) from None
            finally:
                self._slots.release()

    @contextmanager
    def _place_in_queue(self, address: str) -> Iterator[None]:
        with self._lock:
            of_address = self._threads[address] if address else 0
            if self._threads.total() >= MAX_THREADS or of_address >= MAX_THREADS_OF_AN_ADDRESS:
                raise SignInFailed("away", "busy")
            self._threads[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._threads[address] -= 1
                self._threads = +self._threads  # without addresses of which no thread is left

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Accept"] = "application/json"
        session.trust_env = not self._settings.is_local
        session.auth = lambda request: request  # With any `auth` set, requests sends no password from a .netrc file.
        return session

    def _get(self, url: str, what: str, access_token: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else None
        with self.request_slot(), self._session() as session:
            response = session.get(url, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        found = _json_object(response) if response.status_code == 200 else None
        if found is None:
            raise SignInFailed("away", f"{what}_status_{response.status_code}")
        return found

    def _parse_metadata(self, document: Mapping[str, Any]) -> ProviderMetadata:
        if document.get("issuer") != self._settings.issuer:
            # A provider with another name, even by a slash at the end, would sign tokens of another issuer.
            raise SignInFailed("away", "discovery_of_another_issuer")
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = next((each for each in ("client_secret_basic", "client_secret_post") if each in methods), None)
        if method is None:
            raise SignInFailed("away", "discovery_takes_no_client_secret")
        stated = document.get("scopes_supported")
        scopes = stated if isinstance(stated, list) else []
        return ProviderMetadata(
            authorization_endpoint=self._url(document, "authorization_endpoint"),
            token_endpoint=self._url(document, "token_endpoint"),
            jwks_uri=self._url(document, "jwks_uri"),
            userinfo_endpoint=self._url(document, "userinfo_endpoint") if document.get("userinfo_endpoint") else None,
            client_auth_method=method,
            scopes=frozenset(each for each in scopes if isinstance(each, str)),
            sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _url(self, document: Mapping[str, Any], name: str) -> str:
        """Return a URL of the metadata; one without https would undo the protection that the issuer's URL gives."""
        found = document.get(name)
        schemes = ("https", "http") if self._settings.is_local else ("https",)
        if not isinstance(found, str) or not found.isprintable() or urlsplit(found).scheme not in schemes:
            raise SignInFailed("away", f"discovery_without_{name}")
        return found


def _json_object(response: requests.Response) -> dict[str, Any] | None:
    """Return the JSON object in a response's body, or `None` if the body is anything else."""
    try:
        found = response.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
