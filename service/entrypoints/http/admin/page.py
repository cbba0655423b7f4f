"""The page's own app: sessions, guards, forms that nobody can forge, errors told as pages, and every view."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from flask import Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from service.adapters.observability.logs import log as told_log
from service.adapters.observability.logs import where
from service.adapters.openid.settings import OpenIdSettings
from service.adapters.openid.sign_in import SignIn
from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.adapters.redis.staff.idempotency import AT_WORK, Idempotency
from service.bootstrap import Service
from service.domain.errors import NewerSchema, StoreUnavailable
from service.entrypoints.http.admin import assets, frame
from service.entrypoints.http.admin import formatting as shown
from service.entrypoints.http.admin import openid_sign_in as openid_door
from service.entrypoints.http.admin import rejected_forms as unsent
from service.entrypoints.http.admin import sign_in as door
from service.entrypoints.http.admin import views as rooms
from service.entrypoints.http.admin.frame import SAID, Frame, is_secure
from service.entrypoints.http.admin.sessions import COOKIE, Sessions
from service.entrypoints.http.errors import TYPES, Problem
from service.entrypoints.http.guards import Keyring
from service.entrypoints.http.request_log import RequestLog
from service.use_cases.grants.imports.csv_file import MOST_BYTES

HERE = Path(__file__).parent
MOST_OF_A_FORM = 256 * 1024
REFUSED = "This form was not taken"
HTTP_DETAILS = {
    404: "There is no such page.",
    405: "This address takes a form, and shows nothing by itself: go back to the page that the form stands on.",
    413: "More was sent than is taken: a file may have 16 MiB and 50 000 rows, a form 256 KiB.",
}

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers would then say `Origin: null` of the page's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def mount(
    app: Flask,
    service: Service,
    keyring: Keyring,
    log: RequestLog,
    keys_changed: Callable[[], None],
    *,
    openid: OpenIdSettings | None = None,
) -> Flask:
    """Puts the page under `/admin` of an app, and gives it.

    `keys_changed` is called when a key was made or ended here; `openid` lets staff sign in by a provider, too.
    """
    sessions = Sessions(
        lambda: service.secrets.sealer("session"),
        lambda: service.secrets.signer("session"),
        EndedSessions(service.store),
        keyring.of_digest,
        time.time,
        openid.fingerprint if openid is not None else None,
    )
    repeated = Idempotency(service.store, lambda: service.secrets.sealer("idempotency"), AT_WORK)
    ways = SignIn(openid, time.time) if openid is not None else None
    page = _build(Frame(service, sessions, repeated, keys_changed), keyring, log, ways)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/admin": page})  # type: ignore[method-assign]  # Flask's own way
    return page


def _build(around: Frame, keyring: Keyring, log: RequestLog, ways: SignIn | None) -> Flask:
    page = Flask("service.entrypoints.http.admin", template_folder=str(HERE / "templates"), static_folder=None)
    page.config["MAX_CONTENT_LENGTH"] = MOST_BYTES + MOST_OF_A_FORM
    page.config["MAX_FORM_MEMORY_SIZE"] = MOST_OF_A_FORM
    page.url_map.strict_slashes = False
    shown.register(page, around)
    assets.register(page)
    door.register(page, around, keyring, ways.settings if ways is not None else None)
    openid_door.register(page, around, ways)
    rooms.register(page, around)

    @page.before_request
    def guard() -> Response | None:
        g.begun = log.begin()
        return _admit(page, around)

    @page.after_request
    def tell(response: Response) -> Response:
        _dress(response, around)
        rule = f"/admin{request.url_rule.rule}" if request.url_rule is not None else "unknown"
        given = request.headers.get("X-Request-Id")
        begun = g.get("begun") or log.begin()
        response.headers["X-Request-Id"] = log.end(begun, rule, request.method, response.status_code, given)
        return response

    _tell_errors(page)
    return page


def _admit(page: Flask, around: Frame) -> Response | None:
    """Before every request: who is signed in, what the view demands, and that a form is the page's own."""
    view = page.view_functions.get(request.endpoint or "")
    if view is not None and getattr(view, "needs", "nothing said") is None and getattr(view, "stateless", False):
        return None
    opened = around.sessions.open(request.cookies.get(COOKIE))
    g.session = opened or around.sessions.stranger()
    g.strange = opened is None
    g.principal = around.sessions.principal(opened) if opened is not None else None
    if view is None:
        return None if g.principal is not None else _to_the_door()
    demand = cast(Any, view).needs
    if demand is not None and g.principal is None:
        return _to_the_door()
    if demand is not None and not frame.may(demand):
        raise Problem(403, f"Your role is {g.principal.role}; this takes {demand}.")
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _check_form(around)
    return None


def _to_the_door() -> Response:
    """To the sign-in, and back from there; what was asked with a form has to be asked again."""
    back = request.full_path.rstrip("?") if request.method == "GET" else unsent.stood_on(current_app)
    to = url_for("sign_in", then=back if back != "/" else None, over=1 if COOKIE in request.cookies else None)
    if "HX-Request" in request.headers:
        return Response(status=204, headers={"HX-Redirect": to})
    if request.method == "GET":
        return cast(Response, redirect(to, 303))
    raise Problem(401, "You are not signed in (any more). Sign in, and do it again: nothing was changed.")


def _check_form(around: Frame) -> None:
    """A form comes from this page and this session, or it is nobody's. `Problem` 403."""
    if unsent.foreign():
        raise Problem(403, "It was sent by another site; nothing was changed.", title=REFUSED)
    token = request.form.get("token", "")
    if g.strange or not around.sessions.brought(g.session, token):
        raise Problem(
            403, "It is not of your session (any more). Load the page again; nothing was changed.", title=REFUSED
        )


def _dress(response: Response, around: Frame) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "private, no-store")
    session = g.get("session")
    if session is None:
        return
    if g.get("heard") and SAID in request.cookies:
        response.delete_cookie(SAID, path="/admin")
    kept = g.get("begin") or (around.sessions.touched(session) if g.get("principal") is not None else None)
    if kept is not None:
        with suppress(StoreUnavailable):  # Then this page says so, and the next one begins a session.
            sealed = around.sessions.seal(kept)
            response.set_cookie(COOKIE, sealed, path="/admin", httponly=True, secure=is_secure(), samesite="Lax")


def _tell_errors(page: Flask) -> None:
    """Every error as a page, with what is wrong and what to do."""

    @page.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return told(error)

    @page.errorhandler(StoreUnavailable)
    def away(_: StoreUnavailable) -> Response:
        # A write that timed out may have been taken all the same.
        look = "Try again in a moment." if request.method == "GET" else "Look whether it was done before you try again."
        return told(Problem(503, f"Nothing can be read or changed now. {look}"))

    @page.errorhandler(NewerSchema)
    def newer(_: NewerSchema) -> Response:
        return told(Problem(503, "The store holds records of a newer version of this service; finish the upgrade."))

    @page.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        title = "There is no page here" if status == 405 else None
        return told(Problem(status, HTTP_DETAILS.get(status) or error.description or error.name, title=title))

    @page.errorhandler(Exception)
    def crash(error: Exception) -> Response:
        told_log().error("crash", error=type(error).__name__, where=where(error))
        return told(Problem(500, "Something failed here; the service's log tells more under this request's id."))


def told(problem: Problem) -> Response:
    """An error as a page."""
    title = problem.title or TYPES.get(problem.status, ("", "The request was refused"))[1]
    if "HX-Request" in request.headers:
        return frame.show("error_part.html", status=problem.status, problem=problem, title=title)
    back, typed = unsent.stood_on(current_app), unsent.typed()
    return frame.show("error.html", status=problem.status, problem=problem, title=title, back=back, typed=typed)
