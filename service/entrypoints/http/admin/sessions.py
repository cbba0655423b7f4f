"""Who is signed in: a sealed cookie that names a key by its digest, and never holds the key; or a person and her role.

A session ends 30 minutes after it was last used and 12 hours after it began, with its key, by signing out, and by signing
out everywhere; the last three within a second or two on every worker. What its owner may do is asked of the key each
time, so a role is never older than the key's. Who came by OpenID Connect has the role of that moment, for as long as the
provider and the roles of its groups are set as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from secrets import token_hex
from typing import cast

import msgspec

from service.adapters.crypto import Sealer, Signer
from service.adapters.redis.staff.ended_sessions import EndedSessions
from service.domain.roles import Role
from service.entrypoints.http.guards import Principal

COOKIE = "paywall_session"
IDLE, LONGEST = 30 * 60, 12 * 3_600
"""Seconds."""
TOUCH_EVERY = 60
"""Seconds of use after which the cookie is sealed anew."""

OPENID = "oidc:"
"""Stands before the names of those who came by OpenID Connect; no key's name begins so."""

SCHEMA = 2
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's visit. `mark` is the digest of the key in hex; `role` is set where no key says it (OpenID Connect), and
    `terms` is then the mark of the settings that gave it.
    """

    id: str
    name: str | None
    mark: str | None
    role: Role | None
    begun: int
    seen: int
    epoch: int
    terms: str | None = None

    @property
    def over_at(self) -> int:
        return min(self.seen + IDLE, self.begun + LONGEST)


class Sessions:
    """Begins, opens and ends sessions. `StoreUnavailable` where the store is needed and away."""

    def __init__(
        self,
        sealer: Callable[[], Sealer],
        signer: Callable[[], Signer],
        ended: EndedSessions,
        of_digest: Callable[[bytes], Principal | None],
        clock: Callable[[], float],
        terms: str | None = None,
    ) -> None:
        """`clock` is the wall's: a demo's time machine signs nobody out. `terms` marks the settings of OpenID Connect."""
        self._sealer = sealer
        self._signer = signer
        self._ended = ended
        self._of_digest = of_digest
        self._clock = clock
        self._terms = terms

    def stranger(self) -> Session:
        """Nobody's session: what a form needs before somebody signs in by it."""
        now = int(self._clock())
        return Session(token_hex(16), None, None, None, now, now, 0)

    def begin(self, name: str, *, key: bytes | None = None, role: Role | None = None) -> Session:
        """A session of whoever has this key (its digest), or of who has this role without one."""
        now = int(self._clock())
        mark = key.hex() if key is not None else None
        terms = self._terms if key is None else None
        return Session(token_hex(16), name, mark, role, now, now, self._ended.epoch(self._whose(name, mark)), terms)

    def seal(self, session: Session) -> str:
        """The session as a cookie's value."""
        return self._sealer().seal(_encode([SCHEMA, *astuple(session)]))

    def open(self, cookie: str | None) -> Session | None:
        """The session in a cookie; `None` for one that is not ours, or whose time is over."""
        text = self._sealer().open(cookie) if cookie and cookie.isascii() else None
        if text is None:
            return None
        schema, *values = _decode(text)
        if schema != SCHEMA:
            return None
        session = Session(*values)
        return session if self._clock() < session.over_at else None

    def principal(self, session: Session) -> Principal | None:
        """Who is signed in by it now; `None` for a stranger's, and for one that was ended."""
        if session.name is None:
            return None
        if not self._ended.holds(session.id, self._whose(session.name, session.mark), session.epoch):
            return None
        if session.mark is None:
            given = session.role is not None and session.terms is not None and session.terms == self._terms
            return Principal(OPENID + session.name, cast(Role, session.role)) if given else None
        found = self._of_digest(bytes.fromhex(session.mark))
        return found if found is not None and found.role != "site" else None

    def touched(self, session: Session) -> Session | None:
        """The session as used now, where that is worth telling the browser."""
        now = int(self._clock())
        return replace(session, seen=now) if now - session.seen >= TOUCH_EVERY else None

    def end(self, session: Session) -> None:
        """Signs this session out, also for whoever copied its cookie."""
        self._ended.end(session.id, session.begun + LONGEST, self._clock())

    def end_all(self, session: Session) -> None:
        """Signs its owner out everywhere."""
        self._ended.end_all(self._whose(session.name or "", session.mark))

    def token(self, session: Session) -> str:
        """What every form of this session has to bring along."""
        return self._signer().mark(b"form:" + session.id.encode())

    def brought(self, session: Session, token: str) -> bool:
        """Whether a form is of this session."""
        return self._signer().made(b"form:" + session.id.encode(), token)

    @staticmethod
    def _whose(name: str, mark: str | None) -> str:
        return f"key:{name}" if mark is not None else f"{OPENID}{name}"
