"""Sign-in with an API key, with a link that works once, or with OpenID Connect, and sign-out.

A key is typed once and not kept. An attempt with OpenID Connect is in a sealed cookie, so that nobody is signed in by a link
that another person started. A failure leads to the sign-in page, at an address without the provider's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from flask import Response, g, request, url_for

from service.adapters.crypto import key_digest
from service.adapters.observability.logs import log
from service.adapters.openid.attempt import ATTEMPT_SECONDS, SignInAttempt, SignInFailed
from service.adapters.openid.identity import StaffIdentity
from service.adapters.redis.staff.sign_in_links import SignInLinks
from service.domain import ids
from service.domain.errors import StoreUnavailable
from service.entrypoints.http.admin.page_context import (
    PageContext,
    current_session,
    delete_cookie,
    read_cookie,
    redirect_with_message,
    render,
    see_other,
    set_cookie,
)
from service.entrypoints.http.admin.request_inputs import form_field, query_field
from service.entrypoints.http.admin.sessions import COOKIE
from service.entrypoints.http.guards import Keyring, Principal
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.labels import SIGN_IN_ERRORS

if TYPE_CHECKING:
    from service.adapters.openid.sign_in import SignIn

ATTEMPT_COOKIE = "paywall_sign_in"
ATTEMPT_PATH = "/admin/sign-in"
LONGEST_THEN = 1_000
"""Characters of the path to go to after the sign-in; browsers keep cookies of up to 4 096 bytes."""

LINK_ERROR = (
    "This link was used already, or has expired, or its key is not known here. Create another with "
    "`paywall sign-in-link`, or sign in with your key."
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SignInAttempt).decode


def register(context: PageContext, keyring: Keyring, provider: SignIn | None) -> None:
    """Add sign-in and sign-out; the routes of OpenID Connect answer 404 without a provider."""
    _register_key_sign_in(context, keyring, provider)
    _register_link_sign_in(context, keyring)
    _register_openid_sign_in(context, provider)
    _register_sign_out(context)


def _register_key_sign_in(context: PageContext, keyring: Keyring, provider: SignIn | None) -> None:
    settings = provider.settings if provider is not None else None

    @context.page("GET /sign-in", None)
    def sign_in() -> Response:
        if g.principal is not None:
            return see_other(_local_path(query_field("then")))
        if g.is_new_session:
            # Without a session of its own for the form, another site could sign a browser in under its own key.
            g.started_session = g.session
        status, error = 200, None
        if settings is not None and (found := SIGN_IN_ERRORS.get(query_field("refused") or "")):
            status, error = found[0], found[1].format(host=settings.host)
        expired = "Your session expired. Sign in again." if query_field("over") and not error else None
        then = query_field("then")
        return render("sign_in.html", status=status, openid=settings, then=then, error=error, expired=expired)

    @context.page("POST /sign-in", None)
    def sign_in_with_key() -> Response:
        key = form_field("key") or ""
        try:
            principal = _find_owner(keyring, key)
        except Problem as problem:
            context.service.metrics.count_sign_in("key", "failed")
            error = "This key is unknown or was revoked." if problem.status == 401 else problem.detail
            then, status = form_field("then"), problem.status
            return render("sign_in.html", status=status, openid=settings, then=then, error=error, key_error=True)
        context.service.metrics.count_sign_in("key", "succeeded")
        g.started_session = context.sessions.create(principal.name, key=key_digest(key))
        return see_other(_local_path(form_field("then")))


def _register_link_sign_in(context: PageContext, keyring: Keyring) -> None:
    links = SignInLinks(context.service.store)

    @context.page("GET /sign-in/link", None)
    def sign_in_with_link() -> Response:
        """Sign in the owner of the key that a link stands for; the link is then used up."""
        # A browser that fetches ahead, or a program that only looks, must not use it up.
        looks_only = request.method != "GET" or "prefetch" in request.headers.get("Sec-Purpose", "")
        redeemed = None if looks_only else links.redeem(query_field("token") or "")
        principal = keyring.find_by_digest(redeemed[0]) if redeemed is not None else None
        if redeemed is None or principal is None:
            context.service.metrics.count_sign_in("link", "failed")
            if g.is_new_session:
                g.started_session = g.session  # The page has the form for a key.
            return render("sign_in.html", status=403, error=LINK_ERROR)
        context.service.metrics.count_sign_in("link", "succeeded")
        log().info("signed_in_by_link", name=principal.name, made_by=redeemed[1])
        g.started_session = context.sessions.create(principal.name, key=redeemed[0])
        return see_other(url_for("overview"))


def _find_owner(keyring: Keyring, key: str) -> Principal:
    """Return whose key was typed; wrong keys count toward the API's limit. `Problem` 401, 403, 429."""
    principal = keyring.principal(f"Bearer {key}", request.remote_addr or "")
    if principal.role == "site":
        raise Problem(403, "This is the website’s key. Sign in with an admin key.")
    return principal


def _local_path(path: str | None) -> str:
    """Return the address of a path of these pages; of the overview for anything else."""
    if path is None or not path.startswith("/") or path.startswith(("//", "/\\")) or urlsplit(path).netloc:
        return url_for("overview")
    return f"/admin{path}"


def _register_sign_out(context: PageContext) -> None:
    @context.page("POST /sign-out", "viewer")
    def sign_out() -> Response:
        context.sessions.sign_out(current_session())
        return signed_out("You are signed out.")

    @context.page("POST /sign-out-everywhere", "viewer")
    def sign_out_everywhere() -> Response:
        context.sessions.sign_out_everywhere(current_session())
        return signed_out("You are signed out on every device.")

    def signed_out(message: str) -> Response:
        answer = redirect_with_message(context, message, url_for("sign_in"))
        delete_cookie(answer, COOKIE)
        g.principal = None
        return answer


def _register_openid_sign_in(context: PageContext, provider: SignIn | None) -> None:
    def required_provider() -> SignIn:
        if provider is None:
            raise Problem(404, "Sign-in with OpenID Connect is not set up.")
        return provider

    @context.page("GET /sign-in/begin", None)
    def begin_at_provider() -> Response:
        then = query_field("then")
        try:
            address, attempt = required_provider().begin(then if then and len(then) <= LONGEST_THEN else None)
        except SignInFailed as error:
            return _redirect_with_error(context, error.kind, error.reason, then)
        answer = see_other(address)
        sealed = context.service.secrets.sealer("openid").seal(_encode(attempt))
        secure = required_provider().settings.public_url.startswith("https:")
        set_cookie(answer, ATTEMPT_COOKIE, sealed, path=ATTEMPT_PATH, max_age=ATTEMPT_SECONDS, secure=secure)
        return answer

    @context.page("GET /sign-in/return", None)
    def return_from_provider() -> Response:
        sign_in = required_provider()
        attempt = _read_attempt(context)
        if attempt is None or not attempt.matches(query_field("state") or "", sign_in.clock()):
            # Keep the cookie: it may belong to another window, which is still at the provider.
            return _redirect_with_error(context, "lost", "no_attempt" if attempt is None else "state", None)
        answer = _finish_attempt(context, sign_in, attempt)
        delete_cookie(answer, ATTEMPT_COOKIE, path=ATTEMPT_PATH)
        return answer


def _read_attempt(context: PageContext) -> SignInAttempt | None:
    cookie = read_cookie(ATTEMPT_COOKIE)
    text = context.service.secrets.sealer("openid").open(cookie) if cookie else None
    try:
        return _decode(text) if text is not None else None
    except msgspec.DecodeError:  # Another version of this service sealed it.
        return None


def _finish_attempt(context: PageContext, sign_in: SignIn, attempt: SignInAttempt) -> Response:
    try:
        code, error, issuer = (query_field(name) for name in ("code", "error", "iss"))
        identity = sign_in.finish(attempt, code, error, issuer, request.remote_addr or "unknown")
        g.started_session = context.sessions.create(_audit_name(identity), role=identity.role)
    except SignInFailed as error:
        return _redirect_with_error(context, error.kind, error.reason, attempt.then)
    except StoreUnavailable:
        return _redirect_with_error(context, "store", "store", attempt.then)
    context.service.metrics.count_sign_in("openid", "succeeded")
    return see_other(_local_path(attempt.then))


def _audit_name(identity: StaffIdentity) -> str:
    """Return a user's name for the audit log. `SignInFailed` if it is not an ID, as names of keys are."""
    try:
        return ids.read_id(identity.name)
    except ValueError:
        raise SignInFailed("no_name", "not_an_id") from None


def _redirect_with_error(context: PageContext, kind: str, why: str, then: str | None) -> Response:
    context.service.metrics.count_sign_in("openid", "failed")
    log().warning("openid_sign_in_failed", kind=kind, why=why)
    return see_other(url_for("sign_in", refused=kind, then=then))
