"""Who is signed in: a sealed cookie with the digest of the user's key, or with a name and role from OpenID Connect.

The cookie never holds the key. A session expires 30 minutes after its last use and 12 hours after its start. Revoking its
key, signing out and signing out everywhere end it within two seconds on every worker. A key's role is looked up at each
request. A user of OpenID Connect keeps the role of the sign-in, until the provider's settings or its groups' roles change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import cast

import msgspec
from msgspec.structs import replace

from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.domain.roles import Role
from service.entrypoints.http.guards import Principal

COOKIE = "paywall_session"
IDLE_LIMIT, TOTAL_LIMIT = 30 * 60, 12 * 3_600
"""Seconds."""
REFRESH_INTERVAL = 60
"""Seconds of use after which the browser gets a new cookie."""

OPENID_PREFIX = "oidc:"
"""Prefix of the names of OpenID Connect users; no key's name starts with it."""


class Session(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A browser's session; `name` is `None` before the sign-in.

    `key_digest` is in hex. Without a key (OpenID Connect), `role` is the role that the provider's groups gave, and
    `openid_settings` identifies the settings by which they did. The cookie has the fields in this order, behind the tag:
    raise it if they change.
    """

    id: str
    name: str | None
    key_digest: str | None
    role: Role | None
    started_at: int
    last_used_at: int
    epoch: int
    openid_settings: str | None = None

    @property
    def expires_at(self) -> int:
        return min(self.last_used_at + IDLE_LIMIT, self.started_at + TOTAL_LIMIT)

    @property
    def owner(self) -> str:
        """The name under which all sessions of a user are ended."""
        return f"key:{self.name}" if self.key_digest is not None else f"{OPENID_PREFIX}{self.name}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Session).decode


@dataclass(frozen=True, slots=True)
class Sessions:
    """Creates, reads and ends sessions. `clock` is the wall clock; `openid_settings` identifies the current ones.

    Raises:
        StoreUnavailable: if a method needs the store and it is unavailable.
    """

    secrets: Secrets
    ended: EndedSessions
    principal_of_digest: Callable[[bytes], Principal | None]
    clock: Callable[[], float]
    openid_settings: str | None = None

    def create_anonymous(self) -> Session:
        """Return a session for a browser that is not signed in; the sign-in form needs its token."""
        now = int(self.clock())
        return Session(token_hex(16), None, None, None, now, now, 0)

    def create(self, name: str, *, key: bytes | None = None, role: Role | None = None) -> Session:
        """Return a session for the owner of a key (its digest), or for an OpenID Connect user with this role."""
        now = int(self.clock())
        settings = self.openid_settings if key is None else None
        new = Session(token_hex(16), name, key.hex() if key is not None else None, role, now, now, 0, settings)
        return replace(new, epoch=self.ended.current_epoch(new.owner))

    def encode_cookie(self, session: Session) -> str:
        """Return the cookie's value for a session."""
        return self.secrets.sealer("session").seal(_encode(session))

    def decode_cookie(self, cookie: str | None) -> Session | None:
        """Return the session in a cookie; `None` if the cookie is not ours, or the session expired."""
        text = self.secrets.sealer("session").open(cookie) if cookie else None
        if text is None:
            return None
        try:
            session = _decode(text)
        except msgspec.DecodeError:  # An earlier release sealed other fields, and its messages, for this purpose too.
            return None
        return session if self.clock() < session.expires_at else None

    def find_principal(self, session: Session) -> Principal | None:
        """Return who is signed in; `None` if nobody is, or the session was ended."""
        if session.name is None or not self.ended.is_valid(session.id, session.owner, session.epoch):
            return None
        if session.key_digest is None:
            settings = session.openid_settings
            is_current = session.role is not None and settings is not None and settings == self.openid_settings
            return Principal(OPENID_PREFIX + session.name, cast(Role, session.role)) if is_current else None
        found = self.principal_of_digest(bytes.fromhex(session.key_digest))
        return found if found is not None and found.role != "site" else None

    def refresh(self, session: Session) -> Session | None:
        """Return the session as used now; `None` if the browser's cookie is recent enough."""
        now = int(self.clock())
        return replace(session, last_used_at=now) if now - session.last_used_at >= REFRESH_INTERVAL else None

    def sign_out(self, session: Session) -> None:
        """End this session, also for a copy of its cookie."""
        self.ended.end_session(session.id, session.started_at + TOTAL_LIMIT, self.clock())

    def sign_out_everywhere(self, session: Session) -> None:
        """End every session of this session's user."""
        self.ended.end_all_sessions(session.owner)

    def form_token(self, session: Session) -> str:
        """Return the token that every form of this session carries."""
        return self.secrets.signer("session").sign(b"form:" + session.id.encode())

    def is_form_token(self, session: Session, token: str) -> bool:
        """Return whether a form's token belongs to this session."""
        return self.secrets.signer("session").verify(b"form:" + session.id.encode(), token)
