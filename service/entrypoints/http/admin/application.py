"""The application that serves the staff pages: authorization, forgery protection, response headers, errors and all views."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.errors import StoreUnavailable
from service.entrypoints.http import errors
from service.entrypoints.http.admin import (
    approvals,
    audit,
    comparisons,
    events,
    explain,
    formatting,
    grant_changes,
    imports,
    keys,
    overview,
    passes,
    reader,
    reader_tables,
    search,
    seats,
    sign_in,
    system,
)
from service.entrypoints.http.admin.page_context import (
    FLASH_COOKIE,
    PageContext,
    delete_cookie,
    has_role,
    is_htmx,
    read_cookie,
    render,
    see_other,
    set_cookie,
)
from service.entrypoints.http.admin.sessions import COOKIE, Sessions
from service.entrypoints.http.guards import Keyring
from service.entrypoints.http.request_log import NO_ROUTE, RequestLog
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.labels import ROLES, TYPED_FIELDS

if TYPE_CHECKING:
    from service.adapters.openid.settings import OpenIdSettings
    from service.adapters.openid.sign_in import SignIn

VIEWS = (
    overview,
    search,
    reader_tables,
    grant_changes,
    reader,
    explain,
    seats,
    imports,
    approvals,
    passes,
    events,
    audit,
    keys,
    system,
    comparisons,
)

LARGEST_SIGN_IN = 16 * 1024
"""Bytes of a form from a browser that is not signed in. Larger ones on many connections would fill the memory."""
LARGEST_FORM = 256 * 1024
"""Bytes of a form of someone who is signed in, without the file of an import."""
UPLOADS = "/admin/imports"
"""Where the pages begin whose forms can have a file."""
LARGEST_FORM_SHOWN = 64 * 1024
"""Bytes of a rejected form up to which the error page shows its fields again."""

FORM_REJECTED = "Form not accepted"
HTTP_DETAILS = {
    404: "This page does not exist.",
    405: "This address only accepts a form. Go back to the page that has the form.",
    413: "The upload is too large. A file of grants may have up to 16 MiB, one of links 64 MiB, a form 256 KiB.",
    500: "The service failed. Its log has the details under this request’s ID.",
}

HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With `no-referrer`, browsers would send `Origin: null` with the pages' own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def _largest_body(path: str) -> int:
    """Return how many bytes a form sent to this path can have from someone who is signed in."""
    return LARGEST_FORM + (imports.LARGEST_FILE if path.startswith(UPLOADS) else 0)


def mount(
    app: Flask,
    service: Service,
    keyring: Keyring,
    log: RequestLog,
    submissions: IdempotencyStore,
    on_keys_changed: Callable[[], None],
) -> Flask:
    """Mount the pages under `/admin` of an application, and return their own application.

    `on_keys_changed` is called after a key was created or revoked here. Sessions expire by the wall clock, which the demo
    does not move.
    """
    openid = service.settings.openid
    sessions = Sessions(
        service.secrets,
        EndedSessions(service.store),
        keyring.find_by_digest,
        time.time,
        openid.fingerprint if openid is not None else None,
    )
    pages = Flask("service.entrypoints.http.admin", static_folder=None)
    _build(PageContext(pages, service, sessions, submissions, on_keys_changed), keyring, log, _provider(openid))
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": pages})  # type: ignore[method-assign]  # Flask's own way
    return pages


def _provider(settings: OpenIdSettings | None) -> SignIn | None:
    """Return sign-in by the provider if one is set, which is when its modules are imported."""
    if settings is None:
        return None
    from service.adapters.openid.provider import OpenIdProvider
    from service.adapters.openid.sign_in import SignIn

    return SignIn(settings, time.time, OpenIdProvider(settings))


def _build(context: PageContext, keyring: Keyring, log: RequestLog, provider: SignIn | None) -> None:
    app = context.app
    app.config["MAX_FORM_MEMORY_SIZE"] = LARGEST_FORM
    app.url_map.strict_slashes = False
    formatting.register(context)
    sign_in.register(context, keyring, provider)
    for view in VIEWS:
        view.register(context)

    @app.before_request
    def authorize() -> Response | None:
        g.begun = log.begin()
        return _authorize(context)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        _update_cookies(response, context)
        rule = f"/admin{request.url_rule.rule}" if request.url_rule is not None else NO_ROUTE
        request_id = request.headers.get("X-Request-Id")
        begun = g.get("begun") or log.begin()
        response.headers["X-Request-Id"] = log.end(begun, rule, request.method, response.status_code, request_id)
        return response

    errors.register(app, _error_page, HTTP_DETAILS, context.service.metrics)


def _authorize(context: PageContext) -> Response | None:
    """Load the session, and check the view's role and, for a form, its token. `Problem` 401, 403."""
    view = cast(Any, context.app.view_functions.get(request.endpoint or ""))
    if getattr(view, "stateless", False):
        return None
    session = context.sessions.decode_cookie(read_cookie(COOKIE))
    g.session = session or context.sessions.create_anonymous()
    g.is_new_session = session is None
    g.principal = context.sessions.find_principal(session) if session is not None else None
    if view is None:
        return None if g.principal is not None else _redirect_to_sign_in()
    role = view.demands
    if role is not None and g.principal is None:
        return _redirect_to_sign_in()
    if role is not None and not has_role(role):
        raise Problem(403, f"This needs the role “{ROLES[role]}”. Your role is “{ROLES[g.principal.role]}”.")
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        path = request.script_root + request.path
        request.max_content_length = LARGEST_SIGN_IN if g.principal is None else _largest_body(path)
        _check_form(context)
    return None


def _redirect_to_sign_in() -> Response:
    """Redirect to the sign-in page, which leads back here. A form must be sent again. `Problem` 401 for one."""
    back = request.full_path.rstrip("?") if request.method == "GET" else _page_of_form()
    to = url_for("sign_in", then=back if back != "/" else None, over=1 if read_cookie(COOKIE) else None)
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": to})
    if request.method == "GET":
        return see_other(to)
    raise Problem(401, "You are not signed in, or your session expired. Nothing was changed. Sign in and try again.")


def _check_form(context: PageContext) -> None:
    """Check that a form comes from these pages and this session. `Problem` 403."""
    if _is_cross_site():
        raise Problem(403, "Another site sent this form. Nothing was changed.", title=FORM_REJECTED)
    # Without a session of ours no token can be right, so the form is not read: a slow one would occupy a thread.
    if g.is_new_session or not context.sessions.is_form_token(g.session, request.form.get("token", "")):
        detail = "The form belongs to another session. Nothing was changed. Reload the page and try again."
        raise Problem(403, detail, title=FORM_REJECTED)
    request.stream.read(1)  # This is a 413 for a chunked form that Werkzeug cut at the limit.


def _is_cross_site() -> bool:
    """Return whether another site sent this request (`Sec-Fetch-Site`, else `Origin`)."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != request.host


def _update_cookies(response: Response, context: PageContext) -> None:
    session = g.get("session")
    if session is None:
        return
    if g.get("flash_shown") and read_cookie(FLASH_COOKIE):
        delete_cookie(response, FLASH_COOKIE)
    started = g.get("started_session")
    kept = started or (context.sessions.refresh(session) if g.get("principal") is not None else None)
    if kept is not None:
        with suppress(StoreUnavailable):  # This page reports the outage; the next one sets the cookie.
            set_cookie(response, COOKIE, context.sessions.encode_cookie(kept))


def _error_page(problem: Problem) -> Response:
    """Render an error with what was typed into the form, and a link back to the form's page."""
    if is_htmx():
        return render("error_part.html", problem=problem, title=problem.title)
    back, typed = _page_of_form(), _typed_fields()
    return render("error.html", problem=problem, title=problem.title, back=back, typed=typed)


def _typed_fields() -> list[tuple[str, str]]:
    """Return the labels and values of the fields that a person typed. A form of another site is not shown again."""
    # A slow body occupies a thread: without a session, read only a form that a browser sent from these pages.
    from_browser = request.headers.get("Sec-Fetch-Site") or request.headers.get("Origin")
    if request.endpoint == "sign_in_with_key" or (g.get("is_new_session", True) and not from_browser):
        return []
    # Do not read an upload from a browser that is not signed in, nor again what was too large.
    small = request.content_length is not None and request.content_length <= LARGEST_FORM_SHOWN
    is_form = request.method == "POST" and request.mimetype == "application/x-www-form-urlencoded"
    if not is_form or not small or _is_cross_site():
        return []
    return [(label, request.form[name]) for name, label in TYPED_FIELDS.items() if request.form.get(name, "").strip()]


def _page_of_form() -> str | None:
    """Return the path, below `/admin`, of the page that has this form, if the browser names it."""
    if request.method != "POST" or _is_cross_site():
        return None
    referrer = urlsplit(request.headers.get("Referer", ""))
    path = referrer.path.removeprefix("/admin")
    if referrer.netloc != request.host or path == referrer.path or path in ("", "/"):
        return None
    try:
        current_app.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return None
    return f"{path}?{referrer.query}" if referrer.query else path
