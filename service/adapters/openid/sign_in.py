"""Sign-in by the authorization code flow with PKCE (RFC 6749, RFC 7636): send the user to the provider, take them back."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe
from urllib.parse import urlencode, urlsplit

from service.adapters.openid.attempt import SignInAttempt, SignInFailed, error_code
from service.adapters.openid.id_token import verify_id_token
from service.adapters.openid.identity import StaffIdentity, needs_userinfo, read_identity
from service.adapters.openid.provider import OpenIdProvider, ProviderMetadata
from service.adapters.openid.settings import OpenIdSettings


class SignIn:
    """Sign-in by one provider. `clock` returns Unix time, because tokens carry dates."""

    def __init__(self, settings: OpenIdSettings, clock: Callable[[], float], provider: OpenIdProvider) -> None:
        self.settings = settings
        self._provider = provider
        self.clock = clock

    def begin(self, then: str | None) -> tuple[str, SignInAttempt]:
        """Return the URL to send the browser to and the attempt that it must bring back.

        Raises: SignInFailed, if the provider is unavailable.
        """
        metadata, settings = self._provider.metadata(), self.settings
        attempt = SignInAttempt(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), then, int(self.clock()))
        challenge = urlsafe_b64encode(sha256(attempt.verifier.encode("ascii")).digest()).rstrip(b"=")
        default = ("email", "profile", *({settings.groups_claim, "groups"} & metadata.scopes))
        query = urlencode(
            {
                "response_type": "code",
                "client_id": settings.client_id,
                "redirect_uri": settings.redirect_uri,
                "scope": " ".join(dict.fromkeys(("openid", *(settings.scopes or sorted(default))))),
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        endpoint = urlsplit(metadata.authorization_endpoint)
        return endpoint._replace(query=f"{endpoint.query}&{query}".lstrip("&")).geturl(), attempt

    def finish(
        self, attempt: SignInAttempt, code: str | None, error: str | None, issuer: str | None, address: str
    ) -> StaffIdentity:
        """Return who came back; `code`, `error` and `issuer` are of the authorization response to this attempt.

        `address` is the browser's: sign-ins from one address cannot keep others from the provider.

        Raises: SignInFailed, if the provider is unavailable, refuses, or sends what is invalid or has no role here.
        """
        metadata = self._provider.metadata()
        if issuer != self.settings.issuer and (issuer is not None or metadata.sends_issuer):
            raise SignInFailed("unaccepted", "answer_of_another_issuer")
        if error is not None:
            raise SignInFailed("denied", error_code(error))
        if not code:
            raise SignInFailed("unaccepted", "no_code")
        tokens = self._provider.exchange_code(code, attempt.verifier, address)
        access_token = tokens.get("access_token")
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            raise SignInFailed("unaccepted", "no_access_token")
        claims = verify_id_token(
            tokens.get("id_token"),
            provider=self._provider,
            settings=self.settings,
            nonce=attempt.nonce,
            access_token=access_token,
            now=self.clock(),
        )
        userinfo = self._provider.userinfo(access_token) if needs_userinfo(self.settings, claims) else {}
        return read_identity(self.settings, claims, userinfo)

    def check_provider(self) -> ProviderMetadata:
        """Return the provider's metadata after reading its keys too: for `paywall doctor`."""
        self._provider.keys()
        return self._provider.metadata()
