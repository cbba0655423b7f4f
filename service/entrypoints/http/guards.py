"""Who may: keys, roles, and what a route demands. Looked at before path, body or content type.

A view says what it demands with `@site` or `@admin(role)`; `check` runs before every request, and a test sees to it that
no route under `/v1` is without. Keys are compared by their hash, so that how long a comparison takes says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flask import current_app, g, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.admin_keys import AdminKeyCache, key_digest
from service.domain.errors import StoreUnavailable
from service.domain.roles import RANKS, Role
from service.entrypoints.responses.errors import Problem
from service.settings.settings import NamedKey

WRONG_KEYS = 30
"""From this many wrong keys of one address within a minute on they are answered 429."""

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose key it is. `site` keys ask for readers, the other roles are admins'."""

    name: str
    role: Role


class Keyring:
    """Who a key belongs to: those of the settings, and those that owners made at run time (`stored`)."""

    def __init__(
        self,
        site: Iterable[NamedKey],
        admin: Iterable[NamedKey],
        *,
        stored: Callable[[bytes, str], Principal | None] = lambda *_: None,
        wrong: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._known = {key_digest(key.secret): Principal(key.name, "site") for key in site}
        self._known |= {key_digest(key.secret): Principal(key.name, "owner") for key in admin}
        self._stored = stored
        self._wrong = wrong

    def site_headers(self, header: str) -> bool:
        """Whether this Authorization header carries a site key of the settings; for the hot route."""
        principal = self._known.get(key_digest(header[7:])) if header[:7] == "Bearer " else None
        return principal is not None and principal.role == "site"

    def of_digest(self, hashed: bytes, key: str = "") -> Principal | None:
        """Whose key has this digest now; `None` for one that is unknown or ended. `StoreUnavailable` as in `principal`.

        With the key itself one that was made a moment ago is known whatever else is asked.
        """
        return self._known.get(hashed) or self._stored(hashed, key)

    def principal(self, header: str | None, address: str, *, to_admins: bool = True) -> Principal:
        """Whose key this header carries. `Problem` 401 without a valid one, 429 after too many wrong ones.

        `StoreUnavailable` on a route for admins where the keys made at run time were never read yet; the website's routes
        know their keys without them.
        """
        scheme, _, secret = (header or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise Problem(401, "Send a key: Authorization: Bearer <key>.")
        hashed = key_digest(secret)
        try:
            found = self.of_digest(hashed, secret)
        except StoreUnavailable:
            if to_admins:
                raise
            found = None
        if found is not None:
            return found
        if self._wrong(address) >= WRONG_KEYS:
            raise Problem(429, "Too many wrong keys from this address; wait a minute.")
        raise Problem(401, _UNKNOWN)


_UNKNOWN = (
    "This key is not known; keys are set in PAYWALL_SITE_KEYS and PAYWALL_ADMIN_KEYS, or made by `paywall keys add`."
)


def made_at_run_time(book: AdminKeyCache) -> Callable[[bytes, str], Principal | None]:
    """Looks up the keys that owners made, for a `Keyring`."""

    def stored(hashed: bytes, secret: str) -> Principal | None:
        key = book.find(hashed, secret)
        return None if key is None else Principal(key.name, cast(Role, key.role))

    return stored


def site(view: View) -> View:
    """The route takes a site key."""
    cast(Any, view).demands = "site"
    return view


def admin(role: Role) -> Callable[[View], View]:
    """The route takes an admin key of at least this role."""

    def mark(view: View) -> View:
        cast(Any, view).demands = role
        return view

    return mark


def open_to_all(view: View) -> View:
    """The route takes no key, and that is meant."""
    cast(Any, view).demands = None
    return view


def check(keyring: Keyring) -> None:
    """Before every request: the route's demand against the request's key. `Problem` 401, 403, 429."""
    view = current_app.view_functions.get(request.endpoint or "")
    demand = getattr(view, "demands", None)
    if demand is not None:
        _admit(keyring, demand)


def _admit(keyring: Keyring, demand: Role) -> None:
    principal = keyring.principal(
        request.headers.get("Authorization"), request.remote_addr or "", to_admins=demand != "site"
    )
    if (demand == "site") != (principal.role == "site"):
        other = "an admin" if demand == "site" else "a site"
        raise Problem(403, f"This is {other} key; this route takes {'a site' if demand == 'site' else 'an admin'} key.")
    if RANKS[principal.role] < RANKS[demand]:
        raise Problem(403, f"This key's role is {principal.role}; this route needs {demand}.")
    g.principal = principal


def actor() -> Actor:
    """Who asks, for the audit log: the key's name and the connection's address."""
    return Actor(cast(Principal, g.principal).name, request.remote_addr)


_READER_AND_SLASH = re.compile(r"(/v1/(?:readers|gifts|subscriptions/[^/]+/seats)/)[^/]*/(.*)", re.DOTALL)
_NAME_AND_SLASH = re.compile(
    r"(/v1/(?:approvals|decisions|events|grants/import|keys|passes|subscriptions)/)[^/]*/(.*)", re.DOTALL
)


def check_slash(keyring: Keyring) -> None:
    """No route fits because an id holds a slash (`a%2Fb`; the server hands it on decoded).

    Rights come first all the same. A reader's id with a slash is `Problem` 422; other things of such a name are not there.
    """
    path = request.environ["PATH_INFO"]
    reader = _READER_AND_SLASH.fullmatch(path)
    found = reader or _NAME_AND_SLASH.fullmatch(path)
    if not isinstance(request.routing_exception, NotFound) or not found:
        return
    _admit(keyring, _demand_without_slash(found[1], found[2].split("/")))
    if reader:
        message = "must not hold a slash, and nothing else is under this path"
        raise Problem(422, f"reader: {message}", errors=[("reader", message)])


def _demand_without_slash(before: str, after: list[str]) -> Role:
    """What the route demands that would fit if the reader's id held no slash; rights come before what is wrong with a path."""
    adapter = current_app.create_url_adapter(request)
    for parts in range(1, len(after) + 1):
        try:
            endpoint, _ = cast(MapAdapter, adapter).match("/".join([before + "x", *after[parts:]]), request.method)
        except HTTPException:
            continue
        return cast(Role, getattr(current_app.view_functions[endpoint], "demands", None) or "viewer")
    return "viewer"


def check_path(path: str) -> None:
    """A path must be UTF-8: an id that is not would otherwise be read as another. `Problem` 422."""
    try:
        path.encode("latin-1").decode()
    except UnicodeError:
        raise Problem(422, "The path is not UTF-8.", errors=[("path", "is not UTF-8")]) from None
