"""What every page uses: the current session and role, rendering, flash messages, and forms that take effect once.

Each page has its role from `PageContext.page`. `application` checks it before every request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, Response, g, make_response, redirect, render_template, request

from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.catalogue import Catalogue
from service.domain.errors import DomainError
from service.domain.roles import RANKS, Role
from service.entrypoints.http import idempotency
from service.entrypoints.http.admin.sessions import Session, Sessions
from service.entrypoints.http.guards import Principal
from service.entrypoints.responses.errors import Problem, problem_of

FLASH_COOKIE = "paywall_said"
"""Cookie with the message that the next page shows once; sealed."""

View = TypeVar("View", bound=Callable[..., Any])
Outcome = tuple[str, str]
"""What a form's work leads to: the message to show, and the address of the page that shows it."""


@dataclass(frozen=True)
class PageContext:
    """The components that views share."""

    app: Flask
    service: Service
    sessions: Sessions
    submissions: IdempotencyStore
    on_keys_changed: Callable[[], None]

    @property
    def now(self) -> float:
        """The service's time in epoch seconds; the demo can move it."""
        return self.service.clock()

    @property
    def catalogue(self) -> Catalogue:
        return self.service.settings.catalogue

    def page(self, rule: str, role: Role | None) -> Callable[[View], View]:
        """Add a view for a rule such as `POST /passes`; `role` is the least role, `None` for a page without sign-in."""
        method, path = rule.split(" ")

        def register(view: View) -> View:
            cast(Any, view).demands = role
            self.app.add_url_rule(path, view_func=view, methods=[method])
            return view

        return register

    def form(
        self, rule: str, role: Role, show_again: Callable[[Problem], Response] | None = None
    ) -> Callable[[Callable[[], Outcome]], Callable[[], Response]]:
        """Add a form: the view does its work, once however often the form is sent.

        If the work is refused, `show_again` shows the form with the reason; without it, the error page does.
        """

        def register(work: Callable[[], Outcome]) -> Callable[[], Response]:
            @self.page(rule, role)
            @wraps(work)
            def view() -> Response:
                try:
                    return submit_once(self, work)
                except (DomainError, Problem) as error:
                    if show_again is None:
                        raise
                    return show_again(refusal_of(error))

            return view

        return register


def current_principal() -> Principal | None:
    """Return who is signed in."""
    return cast("Principal | None", g.get("principal"))


def current_session() -> Session:
    """Return this browser's session; an anonymous one if nobody is signed in."""
    return cast(Session, g.session)


def has_role(role: Role) -> bool:
    """Return whether the signed-in user has at least this role."""
    principal = current_principal()
    return principal is not None and RANKS[principal.role] >= RANKS[role]


def is_htmx() -> bool:
    """Return whether htmx sent this request, and so expects a part of a page."""
    return "HX-Request" in request.headers


def render(template: str, *, status: int = 200, problem: Problem | None = None, **values: Any) -> Response:
    """Render a page, or a part of one; with a problem, in the problem's status."""
    page = render_template(template, problem=problem, **values)
    return make_response(page, problem.status if problem is not None else status)


def see_other(to: str) -> Response:
    """Redirect to another page with 303, so that the browser gets it."""
    return cast(Response, redirect(to, 303))


def redirect_with_message(context: PageContext, message: str, to: str) -> Response:
    """Redirect to another page, which shows the message once."""
    # htmx would follow an ordinary redirect and put the whole next page into this one.
    answer = Response(headers={"HX-Redirect": to}) if is_htmx() else see_other(to)
    sealed = context.service.secrets.sealer("flash").seal(message.encode())
    set_cookie(answer, FLASH_COOKIE, sealed, max_age=60)
    return answer


def read_flash_message(context: PageContext) -> str | None:
    """Return the message that the previous page left for this one."""
    cookie = read_cookie(FLASH_COOKIE)
    text = context.service.secrets.sealer("flash").open(cookie) if cookie else None
    return text.decode() if text is not None else None


def is_secure() -> bool:
    """Return whether the browser uses https, as far as this shows behind a proxy.

    Browsers send `Sec-Fetch-Site` only to trustworthy origins: over https, or on the machine itself.
    """
    if request.is_secure or request.headers.get("X-Forwarded-Proto") == "https":
        return True
    host = request.host.rpartition(":")[0] or request.host
    return "Sec-Fetch-Site" in request.headers and host not in ("localhost", "127.0.0.1", "[::1]")


HOST_PREFIX = "__Host-"
"""Browsers take a cookie of such a name only over HTTPS, with the path /, and never from another host of the domain."""


def read_cookie(name: str) -> str | None:
    """Return one of these pages' cookies. Over HTTPS, the name without the prefix is not ours: another host can set it."""
    return request.cookies.get(HOST_PREFIX + name) or (None if is_secure() else request.cookies.get(name))


def set_cookie(
    answer: Response, name: str, value: str, *, path: str = "/admin", max_age: int | None = None, secure: bool = False
) -> None:
    """Set a cookie that scripts cannot read; over HTTPS, or with `secure`, under the prefix and the path that it requires."""
    secure = secure or is_secure()
    if secure:
        name, path = HOST_PREFIX + name, "/"
    answer.set_cookie(name, value, max_age=max_age, path=path, httponly=True, secure=secure, samesite="Lax")


def delete_cookie(answer: Response, name: str, *, path: str = "/admin") -> None:
    """Delete a cookie under both of its names."""
    answer.delete_cookie(HOST_PREFIX + name, path="/", secure=True, httponly=True, samesite="Lax")
    answer.delete_cookie(name, path=path)


def submit_once(context: PageContext, work: Callable[[], Outcome]) -> Response:
    """Do a form's work, unless the same form was sent before; then repeat its outcome."""
    form_token = request.form.get("once", "")
    if not form_token:
        return redirect_with_message(context, *work())
    # A page has one token and many forms (a grant has its own), so the fields are part of the scope.
    fields = repr(sorted(request.form.items(multi=True)))
    scope = "\n".join(["page", current_session().id, request.path, form_token[:64], fields])
    _, kept = idempotency.run_once(context.submissions, scope, b"", lambda: (303, "\n".join(work()).encode()))
    message, _, to = kept.decode().partition("\n")
    return redirect_with_message(context, message, to)


def refusal_of(error: DomainError | Problem) -> Problem:
    """Return why a form was refused. Raise an outage again, which the form cannot help."""
    problem = problem_of(error)
    if problem.status >= 500:
        raise error
    return problem
