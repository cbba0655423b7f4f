"""Signing in by OpenID Connect: a link that leads to the provider, and the way back from there.

What went wrong is told by the sign-in page, at an address without the provider's code. A browser's attempt is in a sealed
cookie, so that nobody is signed in by a link that somebody else has begun.
"""

from __future__ import annotations

from typing import cast

import msgspec
from flask import Flask, Response, g, redirect, request, url_for

from service.adapters.observability.logs import log
from service.adapters.openid.errors import SignInFailed
from service.adapters.openid.identity import StaffIdentity
from service.adapters.openid.sign_in import ATTEMPT_SECONDS, SignIn, SignInAttempt
from service.domain import ids
from service.domain.errors import StoreUnavailable
from service.entrypoints.http.admin.frame import Frame, asked, is_secure, open_door
from service.entrypoints.http.admin.sign_in import local
from service.entrypoints.http.errors import Problem

COOKIE = "paywall_sign_in"
PATH = "/admin/sign-in"
LONGEST_THEN = 1_000
"""Characters of a path to go on to; browsers keep cookies of up to 4 096 bytes."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SignInAttempt).decode


def register(page: Flask, frame: Frame, ways: SignIn | None) -> None:
    """Adds the link and the way back; they are not there (404) without a provider."""

    @page.get("/sign-in/begin")
    @open_door
    def begin_at_provider() -> Response:
        then = asked("then")
        try:
            address, attempt = _set_up(ways).begin(then if then and len(then) <= LONGEST_THEN else None)
        except SignInFailed as refusal:
            return _refused(refusal.kind, refusal.reason, then)
        answer = cast(Response, redirect(address, 303))
        sealed = frame.service.secrets.sealer("openid").seal(_encode(attempt))
        secure = is_secure() or _set_up(ways).settings.public_url.startswith("https:")
        answer.set_cookie(
            COOKIE, sealed, max_age=ATTEMPT_SECONDS, path=PATH, httponly=True, secure=secure, samesite="Lax"
        )
        return answer

    @page.get("/sign-in/return")
    @open_door
    def back_from_provider() -> Response:
        here = _set_up(ways)
        attempt = _attempt(frame)
        if attempt is None or not attempt.matches(asked("state") or "", here.clock()):
            # The cookie stays: it may be of another window, which is still at the provider.
            return _refused("lost", "no_attempt" if attempt is None else "state", None)
        answer = _let_in(frame, here, attempt)
        answer.delete_cookie(COOKIE, path=PATH)
        return answer


def _set_up(ways: SignIn | None) -> SignIn:
    if ways is None:
        raise Problem(404, "There is no such page.")
    return ways


def _attempt(frame: Frame) -> SignInAttempt | None:
    cookie = request.cookies.get(COOKIE)
    text = frame.service.secrets.sealer("openid").open(cookie) if cookie and cookie.isascii() else None
    try:
        return _decode(text) if text is not None else None
    except msgspec.DecodeError:  # Sealed by another version of this service.
        return None


def _let_in(frame: Frame, ways: SignIn, attempt: SignInAttempt) -> Response:
    try:
        identity = ways.finish(attempt, asked("code"), asked("error"), asked("iss"))
        g.begin = frame.sessions.begin(_name(identity), role=identity.role)
    except SignInFailed as refusal:
        return _refused(refusal.kind, refusal.reason, attempt.then)
    except StoreUnavailable:
        return _refused("store", "store", attempt.then)
    return cast(Response, redirect(local(attempt.then), 303))


def _name(identity: StaffIdentity) -> str:
    """The name as it may stand in the audit log: an id, as the names of keys are."""
    try:
        return ids.read_id(identity.name)
    except ValueError:
        raise SignInFailed("no_name", "not_an_id") from None


def _refused(kind: str, why: str, then: str | None) -> Response:
    log().warning("openid_sign_in_failed", kind=kind, why=why)
    return cast(Response, redirect(url_for("sign_in", refused=kind, then=then), 303))
