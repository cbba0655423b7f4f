"""Authorization: keys, roles, and what a view demands. It comes before path, body and content type.

A route of the API has its demand from `ApiRoutes.add`, a page from `PageContext.page`. `check` runs before every
request of the API. Keys are compared by their hash, so the time of a comparison reveals nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from flask import current_app, g, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import MapAdapter

from service.adapters.crypto import key_digest
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.admin_keys import AdminKeyCache, WrongKeyCounter
from service.domain import ids
from service.domain.errors import InvalidFields, StoreUnavailable
from service.domain.roles import RANKS, Role
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import read_field
from service.settings.settings import Settings

WRONG_KEYS = 30
"""Wrong keys of one address within a minute from which on the answer is 429."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a key: a `site` key asks on behalf of readers, the other roles are admins'. `makers`: see `Actor`."""

    name: str
    role: Role
    makers: tuple[str | None, ...] = ()


class Keyring:
    """Finds the owner of a key: of the settings, or created at run time (`created`)."""

    def __init__(self, settings: Settings, created: AdminKeyCache, wrong_keys: WrongKeyCounter) -> None:
        self._known = {key_digest(key.secret): Principal(key.name, "site") for key in settings.site_keys}
        self._known |= {key_digest(key.secret): Principal(key.name, "owner") for key in settings.admin_keys}
        self._created = created
        self._wrong_keys = wrong_keys
        # Right headers only. Finding one compares hashes of a secret seed, so its time reveals nothing either.
        self._site_headers: set[str] = set()

    def is_site_header(self, header: str) -> bool:
        """Return whether this Authorization header carries a site key of the settings; for the access route."""
        if header in self._site_headers:
            return True
        principal = self._known.get(key_digest(header[7:])) if header[:7] == "Bearer " else None
        if principal is None or principal.role != "site":
            return False
        self._site_headers.add(header)
        return True

    def find_by_digest(self, hashed: bytes, key: str = "") -> Principal | None:
        """Return the owner of the key with this digest; `None` if it is unknown or ended.

        With the key itself, one that was created a moment ago is found in any case. Raises: `StoreUnavailable`.
        """
        if (known := self._known.get(hashed)) is not None:
            return known
        found = self._created.find(hashed, key)
        return None if found is None else Principal(found.name, cast(Role, found.role), found.makers)

    def principal(self, header: str | None, address: str, *, to_admins: bool = True) -> Principal:
        """Return the owner of the key in this header.

        Raises: `Problem` 401 without a valid key, 429 after too many wrong ones; `StoreUnavailable` on a route for admins
        if this process has never read the keys created at run time, which the website's routes do not need.
        """
        scheme, _, secret = (header or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise Problem(401, "Send a key: Authorization: Bearer <key>.")
        hashed = key_digest(secret)
        try:
            found = self.find_by_digest(hashed, secret)
        except StoreUnavailable:
            if to_admins:
                raise
            found = None
        if found is not None:
            return found
        if self._wrong_keys.increment(address) >= WRONG_KEYS:
            raise Problem(429, "Too many wrong keys from this address; wait a minute.")
        set_or_made = "keys are set in PAYWALL_SITE_KEYS and PAYWALL_ADMIN_KEYS, or made by `paywall keys add`"
        raise Problem(401, f"This key is not known; {set_or_made}.")


def check(keyring: Keyring) -> None:
    """Check the request's key against the view's demand. Raises: `Problem` 401, 403, 429."""
    demand = getattr(current_app.view_functions.get(request.endpoint or ""), "demands", None)
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
    """Return who sent this request, for the audit log: the key's name and the connection's address."""
    principal = cast(Principal, g.principal)
    return Actor(principal.name, request.remote_addr, principal.makers)


def site_actor() -> Actor:
    """Return which site sent this request on behalf of a reader, for the audit log: `site:` and the key's name."""
    site = actor()
    return replace(site, name=f"site:{site.name}")


_READER_AND_SLASH = re.compile(r"(/v1/(?:readers|gifts|(?:subscriptions|groups)/[^/]+/seats)/)[^/]*/(.*)", re.DOTALL)
_NAME_AND_SLASH = re.compile(
    r"(/v1/(?:approvals|decisions|events|(?:grants|links)/import|grants/changes|groups|keys|passes|providers|subscriptions)/)[^/]*/(.*)",
    re.DOTALL,
)


def check_slash(keyring: Keyring) -> None:
    """Handle a path that no route matches because an ID holds a slash (`a%2Fb`, which the server decodes).

    Authorization comes first here too. Raises: `InvalidFields` for a reader's ID; anything else with such a name is 404.
    """
    path = request.environ["PATH_INFO"]
    reader = _READER_AND_SLASH.fullmatch(path)
    found = reader or _NAME_AND_SLASH.fullmatch(path)
    if not isinstance(request.routing_exception, NotFound) or not found:
        return
    _admit(keyring, _demand_without_slash(found[1], found[2].split("/")))
    if reader:
        raise InvalidFields([("reader", "must not hold a slash, and nothing else is under this path")])


_MOST_PARTS_AFTER_ID = 8
"""Parts of a path that can follow an ID. No route has more than three, but an ID at its end can hold slashes itself."""


def _demand_without_slash(before: str, after: list[str]) -> Role:
    """Return what the route demands that would match if the reader's ID held no slash."""
    adapter = current_app.create_url_adapter(request)
    # Trying every split of a long path would let a request without a key take 0.1 s of CPU.
    for parts in range(max(1, len(after) - _MOST_PARTS_AFTER_ID), len(after) + 1):
        try:
            endpoint, _ = cast(MapAdapter, adapter).match("/".join([before + "x", *after[parts:]]), request.method)
        except HTTPException:
            continue
        return cast(Role, getattr(current_app.view_functions[endpoint], "demands", None) or "viewer")
    return "site" if before.startswith("/v1/groups/") else "viewer"


PATH_IDS: Mapping[str, tuple[str, Callable[[object], str]]] = {
    "reader": ("reader", ids.read_reader),
    "subscription": ("subscription", ids.read_id),
    "event": ("event", ids.read_id),
    "pass_id": ("id", ids.read_id),
    "name": ("name", ids.read_key_name),
    "story": ("story", ids.read_id),
    "external_id": ("id", ids.read_id),
}
"""Parameter of a path → its name in a refusal, and its rule. Any other ID that is wrong is unknown, and so a 404."""


def check_path() -> None:
    """Check the IDs in the path, and that it is UTF-8: else an ID would be read as another one. Raises: `InvalidFields`."""
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode()
    except UnicodeError:
        raise InvalidFields([("path", "is not UTF-8")]) from None
    for parameter, value in (request.view_args or {}).items():
        if parameter in PATH_IDS:
            read_field(*PATH_IDS[parameter], value)
