"""What a provider says of itself (discovery) and the keys that it signs with: read when first needed, kept for an hour.

Whoever waits for the provider holds a thread that could answer readers, so no more than two of a process do; and a
provider that did not answer is not asked again for some seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.adapters.openid.errors import NotSignedIn
from service.adapters.openid.terms import OpenIdConnect

TIMEOUT = (2.0, 5.0)
"""Seconds to connect, and to read an answer."""
KEPT = 3_600.0
KEYS_AGAIN = 60.0
"""Seconds after which the keys may be read again for one that is not known."""
REST = 5.0
"""Seconds for which a provider that did not answer is left alone."""
WAITING = 2
"""Threads of a process that may wait for the provider at once."""


@dataclass(frozen=True, slots=True)
class Described:
    """What of the discovery document (OpenID Connect Discovery 1.0, section 3) is used."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    auth_method: str
    scopes: frozenset[str]
    names_itself: bool
    """Whether every answer says whose it is (`iss`, RFC 9207)."""


class Provider:
    """Every method raises `NotSignedIn` ("away") where the provider cannot be asked, or says what cannot be used."""

    def __init__(self, terms: OpenIdConnect, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._terms = terms
        self._monotonic = monotonic
        self._turns = threading.BoundedSemaphore(WAITING)
        self._rests_until = float("-inf")
        self._described: tuple[float, Described] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._again_at = float("-inf")

    def described(self) -> Described:
        """What the provider says of itself."""
        if self._described is None or self._monotonic() - self._described[0] >= KEPT:
            address = f"{self._terms.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._described = self._monotonic(), self._used(self._read(address, "discovery"))
        return self._described[1]

    def keys(self, *, again: bool = False) -> KeySet:
        """The provider's public keys; `again`: one was not among them, so they are read anew, once a minute at most."""
        now = self._monotonic()
        again = again and now - self._again_at >= KEYS_AGAIN
        if again:
            self._again_at = now
        if again or self._keys is None or now - self._keys[0] >= KEPT:
            told = self._read(self.described().keys, "keys")
            try:
                self._keys = self._monotonic(), KeySet.import_key_set(told)  # type: ignore[arg-type]  # it looks itself
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                raise NotSignedIn("away", "keys_unreadable") from None
        return self._keys[1]

    def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What the provider says of whoever this token is for; nothing where it has no address for that."""
        address = self.described().userinfo
        return self._read(address, "userinfo", access_token) if address else {}

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of the few threads that wait for the provider. What goes wrong on the way is told as "away"."""
        if self._monotonic() < self._rests_until:
            raise NotSignedIn("away", "resting")
        if not self._turns.acquire(blocking=False):
            raise NotSignedIn("away", "busy")
        try:
            yield
        except (requests.ConnectionError, requests.Timeout) as error:
            self._rests_until = self._monotonic() + REST
            raise NotSignedIn("away", type(error).__name__) from None
        except requests.RequestException as error:
            raise NotSignedIn("away", type(error).__name__) from None
        finally:
            self._turns.release()

    def _read(self, address: str, what: str, token: str | None = None) -> dict[str, Any]:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        with self.turn(), requests.Session() as session:
            session.trust_env = not self._terms.here
            answer = session.get(address, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        try:
            told = answer.json() if answer.status_code == 200 else None
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise NotSignedIn("away", f"{what}_status_{answer.status_code}")
        return told

    def _used(self, told: Mapping[str, Any]) -> Described:
        if told.get("issuer") != self._terms.issuer:
            # A provider that calls itself otherwise (by a slash at the end, too) would sign tokens of another issuer.
            raise NotSignedIn("away", "discovery_of_another_issuer")
        methods = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = next((each for each in ("client_secret_basic", "client_secret_post") if each in methods), None)
        if method is None:
            raise NotSignedIn("away", "discovery_takes_no_client_secret")
        scopes = told.get("scopes_supported")
        return Described(
            authorization=self._address(told, "authorization_endpoint"),
            token=self._address(told, "token_endpoint"),
            keys=self._address(told, "jwks_uri"),
            userinfo=self._address(told, "userinfo_endpoint") if told.get("userinfo_endpoint") else None,
            auth_method=method,
            scopes=frozenset(each for each in scopes if isinstance(each, str))
            if isinstance(scopes, list)
            else frozenset(),
            names_itself=told.get("authorization_response_iss_parameter_supported") is True,
        )

    def _address(self, told: Mapping[str, Any], name: str) -> str:
        """An address of the provider's; one without https would undo that of the issuer."""
        found = told.get(name)
        schemes = ("https", "http") if self._terms.here else ("https",)
        if not isinstance(found, str) or not found.isprintable() or urlsplit(found).scheme not in schemes:
            raise NotSignedIn("away", f"discovery_without_{name}")
        return found
