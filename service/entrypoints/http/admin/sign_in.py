"""The sign-in page, signing in by a key, which is typed once and kept nowhere; signing out, here or everywhere."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Response, g, redirect, request, url_for

from service.adapters.openid.settings import OpenIdSettings
from service.entrypoints.http.admin.frame import Frame, asked, form, needs, open_door, said, session, show
from service.entrypoints.http.admin.sessions import COOKIE
from service.entrypoints.http.errors import Problem
from service.entrypoints.http.guards import Keyring, Principal, digest
from service.entrypoints.responses import labels as wording


def register(page: Flask, frame: Frame, keyring: Keyring, openid: OpenIdSettings | None) -> None:
    """Adds the way in and the ways out. The page leads to the provider, too, where there is one."""

    def door(status: int, **said: str | None) -> Response:
        return show("sign_in.html", status=status, openid=openid, **said)

    @page.get("/sign-in")
    @open_door
    def sign_in() -> Response:
        if g.principal is not None:
            return cast(Response, redirect(local(asked("then")), 303))
        if g.strange:
            # The form of a stranger needs a session too, or another site could sign somebody in as whom it likes.
            g.begin = g.session
        status, refused = _refused(openid)
        over = "Your session is over. Sign in to go on." if asked("over") and not refused else None
        return door(status, then=asked("then"), refused=refused, over=over)

    @page.post("/sign-in")
    @open_door
    def let_in() -> Response:
        key = form("key") or ""
        try:
            who = whose(keyring, key)
        except Problem as problem:
            wrong = "This key is not known, or was ended." if problem.status == 401 else problem.detail
            return door(problem.status, then=form("then"), wrong=wrong)
        g.begin = frame.sessions.begin(who.name, key=digest(key))
        return cast(Response, redirect(local(form("then")), 303))

    @page.post("/sign-out")
    @needs("viewer")
    def sign_out() -> Response:
        frame.sessions.end(session())
        return _out("You are signed out.")

    @page.post("/sign-out-everywhere")
    @needs("viewer")
    def sign_out_everywhere() -> Response:
        frame.sessions.end_all(session())
        return _out("You are signed out, on every device.")

    def _out(message: str) -> Response:
        answer = said(frame, message, url_for("sign_in"))
        answer.delete_cookie(COOKIE, path="/admin")
        g.principal = None
        return answer


def _refused(openid: OpenIdSettings | None) -> tuple[int, str | None]:
    """The status and why the provider's way in led back here, where it did."""
    found = wording.NOT_SIGNED_IN.get(asked("refused") or "") if openid is not None else None
    return (200, None) if found is None or openid is None else (found[0], found[1].format(host=openid.host))


def whose(keyring: Keyring, key: str) -> Principal:
    """Whose key was typed; wrong ones count as the API's do. `Problem` 401, 403, 429."""
    who = keyring.principal(f"Bearer {key}", request.remote_addr or "")
    if who.role == "site":
        raise Problem(403, "This is the website's key; signing in takes an admin's.")
    return who


def local(path: str | None) -> str:
    """A path of this page to go on to; the first page for anything else."""
    if path is None or not path.startswith("/") or path.startswith(("//", "/\\")) or urlsplit(path).netloc:
        return url_for("overview")
    return f"/admin{path}"
