"""Verification of ID tokens (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any

from joserfc import jwt
from joserfc.errors import ClaimError, InvalidClaimError, InvalidKeyIdError, JoseError, MissingClaimError
from joserfc.jws import JWSRegistry

from service.adapters.openid.attempt import SignInFailed
from service.adapters.openid.provider import OpenIdProvider
from service.adapters.openid.settings import OpenIdSettings

ALGORITHMS = tuple(f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512))
"""Signatures that only the provider can make: neither `none` nor one made with a secret that both sides know."""
LEEWAY = 60
"""Seconds by which our clock and the provider's may differ."""

_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)  # Providers add headers of their own.


def verify_id_token(
    token: object, *, provider: OpenIdProvider, settings: OpenIdSettings, nonce: str, access_token: str, now: float
) -> dict[str, Any]:
    """Return the claims of a valid ID token; `now` is in seconds of Unix time.

    Raises: SignInFailed, if the token is missing, its signature or a claim is invalid, or the provider is unavailable.
    """
    if not isinstance(token, str):
        raise SignInFailed("unaccepted", "no_id_token")
    try:
        decoded = _decode(token, provider)
        jwt.JWTClaimsRegistry(
            int(now),
            LEEWAY,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True},
        ).validate(decoded.claims)
        _verify_openid_claims(decoded, settings.client_id, nonce, access_token)
    except ClaimError as error:
        raise SignInFailed("unaccepted", f"id_token_{error.error}_{error.claim}") from None
    except JoseError as error:
        raise SignInFailed("unaccepted", f"id_token_{error.error}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SignInFailed("unaccepted", "id_token_unreadable") from None
    return decoded.claims


def _decode(token: str, provider: OpenIdProvider) -> jwt.Token:
    try:
        return jwt.decode(token, provider.keys(), registry=_REGISTRY)
    except InvalidKeyIdError:  # The provider may have started to sign with a new key.
        return jwt.decode(token, provider.keys(refresh=True), registry=_REGISTRY)


def _verify_openid_claims(token: jwt.Token, client_id: str, nonce: str, access_token: str) -> None:
    """Check the claims that OpenID Connect adds to a JWT.

    Raises: ClaimError, if `nonce`, `azp` or `at_hash` is missing or wrong, or `auth_time` or `amr` has a wrong type.
    """
    claims = token.claims
    if claims["nonce"] != nonce:
        raise InvalidClaimError("nonce")
    authorized_party = claims.get("azp")
    if not authorized_party and claims["aud"] not in (client_id, [client_id]):
        raise MissingClaimError("azp")
    if authorized_party and authorized_party != client_id:
        raise InvalidClaimError("azp")
    token_hash = claims.get("at_hash")
    if token_hash and not hmac.compare_digest(str(token_hash).encode(), _half_hash(access_token, token.header["alg"])):
        raise InvalidClaimError("at_hash")
    if not isinstance(claims.get("auth_time") or 0, int | float):
        raise InvalidClaimError("auth_time")
    if not isinstance(claims.get("amr") or [], list):
        raise InvalidClaimError("amr")


def _half_hash(access_token: str, algorithm: str) -> bytes:
    """Return the left half of the token's hash, base64url; the hash function is that of the signature algorithm."""
    digest = hashlib.new(f"sha{algorithm[-3:]}", access_token.encode("ascii")).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
