"""What makes an ID token hold (OpenID Connect Core 1.0, 3.1.3.7): signature, issuer, audience, times, nonce, hash."""

from __future__ import annotations

from typing import Any

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # Authlib has no types
from joserfc import jwt
from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from service.adapters.openid.errors import NotSignedIn
from service.adapters.openid.provider import Provider
from service.adapters.openid.terms import OpenIdConnect

ALGORITHMS = tuple(f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512))
"""Signatures that only the provider can make: neither `none` nor what is made with a secret that both know."""
LEEWAY = 60
"""Seconds by which our clock and the provider's may differ."""

_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # Providers add headers of their own.


def checked(
    token: object, provider: Provider, terms: OpenIdConnect, nonce: str, access_token: str, now: float
) -> dict[str, Any]:
    """The claims of a token that holds. `NotSignedIn` for any other; `now` in seconds of Unix time."""
    if not isinstance(token, str):
        raise NotSignedIn("unaccepted", "no_id_token")
    try:
        decoded = _decoded(token, provider)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": terms.issuer},
                "aud": {"essential": True, "value": terms.client_id},
                "sub": {"essential": True},
            },
            {"nonce": nonce, "client_id": terms.client_id, "access_token": access_token},
        )
        claims.validate(int(now), LEEWAY)
    except ClaimError as error:
        raise NotSignedIn("unaccepted", f"id_token_{error.error}_{_known(error.claim)}") from None
    except JoseError as error:
        raise NotSignedIn("unaccepted", f"id_token_{error.error}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NotSignedIn("unaccepted", "id_token_unreadable") from None
    return dict(claims)


def _decoded(token: str, provider: Provider) -> jwt.Token:
    try:
        return _signed(token, provider.keys())
    except InvalidKeyIdError:  # The provider may have begun to sign with a new one.
        return _signed(token, provider.keys(again=True))


def _signed(token: str, keys: KeySet) -> jwt.Token:
    return jwt.decode(token, keys, registry=_REGISTRY)


def _known(claim: str) -> str:
    return claim if claim in ("iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "sub", "at_hash") else "other"
