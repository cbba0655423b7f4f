"""Signing in by the authorization code flow with PKCE: away to the provider with an attempt, and back with a code."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

from authlib.integrations.base_client import OAuthError  # type: ignore[import-untyped]  # Authlib has no types
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]  # likewise

from service.adapters.openid.errors import NotSignedIn, code_of
from service.adapters.openid.id_token import checked
from service.adapters.openid.people import Person, needs_userinfo, person_of
from service.adapters.openid.provider import TIMEOUT, Described, Provider
from service.adapters.openid.terms import OpenIdConnect

LASTS = 600
"""Seconds for which an attempt may be finished."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a browser keeps, sealed, while its owner is at the provider. `begun` is in seconds of Unix time."""

    state: str
    nonce: str
    verifier: str
    then: str | None
    begun: int

    def is_of(self, state: str, now: float) -> bool:
        """Whether this is the attempt that comes back now."""
        return hmac.compare_digest(self.state.encode(), state.encode()) and now < self.begun + LASTS


class SignIn:
    """Sign-in by one provider. `clock` is the wall's: tokens are dated by it."""

    def __init__(self, terms: OpenIdConnect, clock: Callable[[], float], provider: Provider | None = None) -> None:
        self.terms = terms
        self._provider = provider or Provider(terms)
        self.clock = clock

    def begin(self, then: str | None) -> tuple[str, Attempt]:
        """Where to send the browser, and what it has to bring back. `NotSignedIn` where the provider is away."""
        found = self._provider.described()
        attempt = Attempt(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), then, int(self.clock()))
        with self._client(found) as client:
            address, _ = client.create_authorization_url(
                found.authorization, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier
            )
        return str(address), attempt

    def finish(self, attempt: Attempt, code: str | None, error: str | None, issuer: str | None) -> Person:
        """Who came back with this code, error and `iss`, the attempt being hers. `NotSignedIn` with the reason."""
        found = self._provider.described()
        if issuer != self.terms.issuer and (issuer is not None or found.names_itself):
            raise NotSignedIn("unaccepted", "answer_of_another_issuer")
        if error is not None:
            raise NotSignedIn("denied", code_of(error))
        if not code:
            raise NotSignedIn("unaccepted", "no_code")
        token = self._exchanged(found, code, attempt.verifier)
        access_token = token.get("access_token")
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            raise NotSignedIn("unaccepted", "no_access_token")
        now = self.clock()
        claims = checked(token.get("id_token"), self._provider, self.terms, attempt.nonce, access_token, now)
        userinfo = self._provider.userinfo(access_token) if needs_userinfo(self.terms, claims) else {}
        return person_of(self.terms, claims, userinfo)

    def look(self) -> Described:
        """Asks the provider what it says of itself, and for its keys: for `paywall doctor`."""
        self._provider.keys()
        return self._provider.described()

    def _exchanged(self, found: Described, code: str, verifier: str) -> dict[str, Any]:
        try:
            # No redirect is followed: it would carry the secret elsewhere.
            with self._provider.turn(), self._client(found) as client:
                told = client.fetch_token(
                    found.token,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
        except OAuthError as error:
            raise NotSignedIn("unaccepted", f"code_{code_of(error.error)}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotSignedIn("unaccepted", "token_answer_unreadable") from None
        return dict(told)

    def _client(self, found: Described) -> OAuth2Session:
        terms = self.terms
        usual = ("email", "profile", *({terms.groups_claim, "groups"} & found.scopes))
        client = OAuth2Session(
            terms.client_id,
            terms.client_secret,
            token_endpoint_auth_method=found.auth_method,
            scope=" ".join(dict.fromkeys(("openid", *(terms.scopes or sorted(usual))))),
            redirect_uri=terms.return_url,
            code_challenge_method="S256",
        )
        client.trust_env = not terms.here
        return client
