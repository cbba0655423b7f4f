"""Grants: access that admins give, change and revoke, each time with a reason and an audit entry.

Pages, API and command line all use this module. `service.domain.grant_rules` decides what may be granted; this module writes
a grant in one step with its history and its audit entry.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from service.adapters.identifiers import new_id
from service.adapters.recent_entitlements import Held, RecentEntitlements
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.readers import Readers, StoredSource
from service.domain.catalogue import Catalogue
from service.domain.decision import resolve_entitlements
from service.domain.errors import RevokedGrant, StoreUnavailable, UnknownGrant
from service.domain.sources import Grant, Source
from service.domain.times import write_time


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """A request for a grant: a plan or features, a reason, a start, and an end (`None`: no end); both in epoch seconds."""

    plan: str | None
    features: tuple[str, ...]
    reason: str
    start: int
    until: int | None


class Grants:
    """Creates, changes and revokes grants. Raises: StoreUnavailable from every method."""

    def __init__(self, readers: Readers, catalogue: Catalogue, audit: AuditWriter, known: RecentEntitlements) -> None:
        self._readers = readers
        self._catalogue = catalogue
        self._audit = audit
        self._known = known

    def create(
        self,
        reader: str,
        wanted: GrantRequest,
        actor: Actor,
        now: float,
        *,
        grant_id: str | None = None,
        approval: str | None = None,
    ) -> Grant:
        """Create a grant. If one with this `grant_id` exists, return it as it is: the call can be repeated.

        `approval` names the approval that a second admin confirmed, for the audit entry.
        """
        grant = Grant(
            id=grant_id or new_id("gr", now),
            plan=wanted.plan,
            features=wanted.features,
            reason=wanted.reason,
            start=wanted.start,
            until=wanted.until,
            actor=actor.name,
            created_at=int(now),
        )
        written = audit_entry(
            actor,
            "grant.create",
            now=now,
            reader=reader,
            target=grant.id,
            before=None,
            after={**describe_grant(grant, now), **_confirmed(approval)},
            reason=wanted.reason,
        )
        outcome = self._write(reader, grant, 1, written, now)
        if outcome is None:
            return self._found(reader, grant.id)[1]
        return grant

    def change(
        self,
        reader: str,
        grant_id: str,
        until: int | None,
        reason: str,
        actor: Actor,
        now: float,
    ) -> Grant:
        """Change the end of a grant. Raises: UnknownGrant, RevokedGrant."""

        def extended(grant: Grant) -> Grant:
            if grant.revoked_at is not None:
                raise RevokedGrant
            return replace(grant, until=until)

        return self._alter(reader, grant_id, extended, "grant.change", reason=reason, actor=actor, now=now)

    def revoke(self, reader: str, grant_id: str, reason: str, actor: Actor, now: float) -> Grant:
        """Revoke a grant at once and for every worker; a revoked grant stays as it is. Raises: UnknownGrant."""

        def revoked(grant: Grant) -> Grant:
            return grant if grant.revoked_at is not None else replace(grant, revoked_at=int(now))

        return self._alter(reader, grant_id, revoked, "grant.revoke", reason=reason, actor=actor, now=now)

    def list_for_reader(self, reader: str) -> list[Grant]:
        """Return all grants of a reader, newest first, including expired ones."""
        found = [kept.source for kept in self._readers.load_all(reader) if isinstance(kept.source, Grant)]
        return sorted(found, key=lambda grant: (grant.created_at, grant.id), reverse=True)

    def _alter(
        self,
        reader: str,
        grant_id: str,
        change: Callable[[Grant], Grant],
        action: str,
        *,
        reason: str,
        actor: Actor,
        now: float,
    ) -> Grant:
        while True:
            kept, grant = self._found(reader, grant_id)
            changed = change(grant)
            if changed == grant:
                return grant
            before, after = differences(describe_grant(grant, now), describe_grant(changed, now))
            written = audit_entry(
                actor, action, now=now, reader=reader, target=grant_id, before=before, after=after, reason=reason
            )
            if self._write(reader, changed, kept.number + 1, written, now) is not None:
                return changed

    def _found(self, reader: str, grant_id: str) -> tuple[StoredSource, Grant]:
        kept = self._readers.find_source(reader, f"g:{grant_id}".encode())
        if kept is None or not isinstance(kept.source, Grant):
            raise UnknownGrant
        return kept, kept.source

    def _write(self, reader: str, grant: Grant, number: int, written: dict[str, Any], now: float) -> Grant | None:
        """Write a grant with its audit entry; return `None` if another process wrote it meanwhile."""
        self._audit.announce(reader)
        outcome = self._readers.write_source(
            reader,
            grant,
            number,
            rule="next",
            ended=grant.revoked_at is not None,
            now=now,
            cause=f"audit:{written['id']}",
            audit=self._audit.sign_entry(written),
        )
        if outcome.verdict == "conflict":
            return None
        if _less(outcome.before, grant):
            self._known.refresh(reader_hash(reader), lambda: self._held(reader, now))
        with suppress(StoreUnavailable):  # The grant is written; the worker moves its audit entry later.
            self._audit.flush(reader)
        return grant

    def _held(self, reader: str, now: float) -> Held:
        sources = [kept.source for kept in self._readers.load_active(reader) if kept.source is not None]
        holdings = [holding for source in sources for holding in source.holdings(self._catalogue)]
        found = resolve_entitlements(holdings, self._catalogue.features, now).by_feature
        return tuple((name, holding.until) for name, holding in found.items())


def _less(before: Source | None, after: Grant) -> bool:
    """Return whether a change takes access away: a revocation, or an earlier end."""
    if not isinstance(before, Grant):
        return False
    sooner = after.until is not None and (before.until is None or after.until < before.until)
    return sooner or (after.revoked_at is not None and before.revoked_at is None)


def describe_grant(grant: Grant, now: float) -> dict[str, Any]:
    """Return a grant as the audit log records it. The entry has fields of its own for the reason and the usual start."""
    what: dict[str, Any] = {"plan": grant.plan} if grant.plan else {"features": list(grant.features)}
    start = {"from": write_time(grant.start)} if grant.start != grant.created_at else {}
    return {**what, **start, "until": write_time(grant.until), "status": grant.status_at(now)}


def _confirmed(approval: str | None) -> dict[str, Any]:
    return {} if approval is None else {"approval": approval}


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return only the fields that differ, before and after."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
