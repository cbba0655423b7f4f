"""What every view shares: who may, forms that come once, what is shown, and what is said on the next page.

A view says what it demands with `@needs(role)` or `@open_door`; `page` looks at it before every request, and a test sees
to it that no view is without.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any, TypeVar, cast

from flask import Response, g, make_response, redirect, render_template, request

from service.adapters.identifiers import new_token
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.idempotency import Idempotency
from service.bootstrap import Service
from service.domain.errors import StoreUnavailable
from service.domain.roles import RANKS, Role
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.sessions import Session, Sessions
from service.entrypoints.http.errors import Problem
from service.entrypoints.http.guards import Principal
from service.entrypoints.responses.schemas import ReasonMaybeIn

View = TypeVar("View", bound=Callable[..., Any])

SAID = "paywall_said"
"""Cookie with what the next page says, sealed; it is shown once."""


@dataclass(frozen=True)
class Frame:
    """What views are built around."""

    service: Service
    sessions: Sessions
    repeated: Idempotency
    keys_changed: Callable[[], None]

    @property
    def now(self) -> float:
        """The service's time, which a demo's time machine moves."""
        return self.service.clock()


def needs(role: Role) -> Callable[[View], View]:
    """The view takes who is signed in with at least this role."""

    def mark(view: View) -> View:
        cast(Any, view).needs = role
        return view

    return mark


def open_door(view: View) -> View:
    """The view takes anybody, and that is meant."""
    cast(Any, view).needs = None
    return view


def principal() -> Principal | None:
    """Who is signed in."""
    return cast("Principal | None", g.get("principal"))


def session() -> Session:
    """This browser's session; a stranger's where nobody is signed in."""
    return cast(Session, g.session)


def may(role: Role) -> bool:
    """Whether who is signed in may do what takes this role; what it may not is not shown."""
    who = principal()
    return who is not None and RANKS[who.role] >= RANKS[role]


def actor() -> Actor:
    """Who asks, for the audit log: as the API has it, the key's name and the connection's address."""
    return Actor(cast(Principal, g.principal).name, request.remote_addr)


def show(template: str, *, status: int = 200, **values: Any) -> Response:
    """A page, or a part of one."""
    return make_response(render_template(f"admin/{template}", **values), status)


def said(frame: Frame, message: str, to: str) -> Response:
    """On to another page, which says this once."""
    # What a script asked for by htmx would follow a redirect unseen, and show the next page within this one.
    scripted = "HX-Request" in request.headers
    answer = Response(headers={"HX-Redirect": to}) if scripted else cast(Response, redirect(to, 303))
    sealed = frame.service.secrets.sealer("session").seal(b"said:" + message.encode())
    answer.set_cookie(SAID, sealed, max_age=60, path="/admin", httponly=True, secure=is_secure(), samesite="Lax")
    return answer


def hear(frame: Frame) -> str | None:
    """What the page before wanted said."""
    cookie = request.cookies.get(SAID)
    text = frame.service.secrets.sealer("session").open(cookie) if cookie and cookie.isascii() else None
    return text[5:].decode() if text is not None and text.startswith(b"said:") else None


def is_secure() -> bool:
    """Whether the browser came by https, as far as one can tell behind a proxy.

    Browsers send Sec-Fetch-Site only where the connection can be trusted: by https, or on the machine itself.
    """
    if request.is_secure or request.headers.get("X-Forwarded-Proto") == "https":
        return True
    here = request.host.rpartition(":")[0] or request.host
    return "Sec-Fetch-Site" in request.headers and here not in ("localhost", "127.0.0.1", "[::1]")


def form(name: str) -> str | None:
    """A field of a form without blanks around it; `None` for an empty one."""
    return request.form.get(name, "").strip() or None


def reason() -> str | None:
    """Why, where a form may say so. `Problem` 422 for one that is too long."""
    found: str | None = bodies.check(ReasonMaybeIn(), {"reason": form("reason")}).get("reason")
    return found


def asked(name: str) -> str | None:
    """The same of the address."""
    return request.args.get(name, "").strip() or None


def fresh_mark() -> str:
    """What makes a form count once, however often its button is pressed."""
    return token_urlsafe(12)


def _words() -> str:
    """Stands for what was filled in. A page has one mark, and many forms: of each grant one that revokes it."""
    return repr(sorted(request.form.items(multi=True)))


def once(frame: Frame, work: Callable[[], tuple[str, str]]) -> Response:
    """Does a form's work unless the same form was sent before. `work` gives what to say, and where to go then.

    `Problem` as `work` raises it; then the form may be sent again in other words.
    """
    mark = request.form.get("once", "")
    if not mark:
        return said(frame, *work())
    scope = "\n".join(["page", session().id, request.path, mark[:64], _words()])
    first = frame.repeated.claim(scope, b"", new_token(time.time()))
    if first.state == "done":
        message, _, to = first.body.decode().partition("\n")
        return said(frame, message, to)
    if first.state == "at_work":
        raise Problem(409, "This was sent a moment ago and is being done; look again in a second.")
    g.repeat_token = first.token
    try:
        message, to = work()
    except BaseException as error:
        # A store that went away in the midst leaves the mark: whoever sends it again carries on.
        with suppress(StoreUnavailable):
            (frame.repeated.release if isinstance(error, Problem) else frame.repeated.leave)(scope)
        raise
    with suppress(StoreUnavailable):
        frame.repeated.keep(scope, b"", first.token, 303, f"{message}\n{to}".encode())
    return said(frame, message, to)
