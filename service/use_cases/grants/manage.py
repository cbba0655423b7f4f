"""Create, change and revoke grants, or ask for a second admin where `[grants]` requires one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.identifiers import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest, Grants
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.staff.approvals import Approval
from service.domain import grant_rules as granting
from service.domain.catalogue import Catalogue
from service.domain.errors import InvalidFields, NoLongerPossible, RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.domain.times import write_time
from service.use_cases.grants.approvals import Approving, Work

CREATE, CHANGE = "grant.create", "grant.change"


def wanted_of(data: Mapping[str, Any], now: float) -> GrantRequest:
    """Return what the loaded fields of a request ask for; without `from_` it begins now."""
    start = int(now if data.get("from_") is None else data["from_"])
    until = None if data["until"] is None else int(data["until"])
    return GrantRequest(
        data.get("plan"), tuple(dict.fromkeys(data.get("features") or ())), data["reason"], start, until
    )


class GrantChanges:
    """Changes grants for every entrypoint. `reader` is the ID as the admin writes it. Raises: `StoreUnavailable`."""

    def __init__(self, catalogue: Catalogue, readers: Readers, grants: Grants, approving: Approving) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._grants = grants
        self._approvals = approving.approvals
        approving.add(CREATE, Work(self._check_create, self._create))
        approving.add(CHANGE, Work(self._check_change, self._change))

    def create(
        self, reader: str, wanted: GrantRequest, actor: Actor, now: float, *, named: str | None = None
    ) -> Grant | Approval:
        """Create a grant, or ask for approval. `named` is the same for a repeat of it. Raises: `InvalidFields`."""
        if mistakes := self._mistakes(wanted, now):
            raise InvalidFields(mistakes)
        grant_id = new_id("gr", now, named)
        start, until = wanted.start, wanted.until
        if not granting.needs_second_admin(self._catalogue, start=start, until=until, now=now):
            return self._grants.create(self._readers.resolve_merged(reader), wanted, actor, now, grant_id=grant_id)
        payload = {
            "grant": grant_id,
            "plan": wanted.plan,
            "features": list(wanted.features),
            "from": start,
            "until": until,
        }
        what: dict[str, Any] = {"plan": wanted.plan} if wanted.plan else {"features": list(wanted.features)}
        return self._approvals.request(
            CREATE,
            payload,
            wants={**what, "from": write_time(start), "until": write_time(until)},
            reader=reader,
            reason=wanted.reason,
            actor=actor,
            now=now,
            over_at=until,
            named=named,
        )

    def change(
        self, reader: str, grant_id: str, until: int | None, reason: str, actor: Actor, now: float
    ) -> Grant | Approval:
        """Give a grant another end. Raises: `UnknownGrant`, `RevokedGrant`, `InvalidFields`."""
        current = self._current(reader, grant_id)
        if current.revoked_at is not None:
            raise RevokedGrant
        if mistakes := granting.find_end_mistakes(self._catalogue, start=current.start, until=until, now=now):
            raise InvalidFields(mistakes)
        longer = current.until is not None and (until is None or until > current.until)
        beyond = granting.needs_second_admin(self._catalogue, start=current.start, until=until, now=now)
        if not (longer and beyond):
            return self._grants.change(self._readers.resolve_merged(reader), grant_id, until, reason, actor, now)
        return self._approvals.request(
            CHANGE,
            {"grant": grant_id, "until": until},
            wants={"grant": grant_id, "until": write_time(until)},
            reader=reader,
            reason=reason,
            actor=actor,
            now=now,
            over_at=until,
        )

    def revoke(self, reader: str, grant_id: str, reason: str, actor: Actor, now: float) -> Grant:
        """Revoke a grant at once; one that is revoked already stays as it is. Raises: `UnknownGrant`."""
        return self._grants.revoke(self._readers.resolve_merged(reader), grant_id, reason, actor, now)

    def _current(self, reader: str, grant_id: str) -> Grant:
        found = next(
            (g for g in self._grants.list_for_reader(self._readers.resolve_merged(reader)) if g.id == grant_id), None
        )
        if found is None:
            raise UnknownGrant
        return found

    def _wanted(self, approval: Approval) -> GrantRequest:
        said = approval.payload
        return GrantRequest(said["plan"], tuple(said["features"]), approval.reason or "", said["from"], said["until"])

    def _check_create(self, approval: Approval, now: float) -> granting.Mistakes:
        return self._mistakes(self._wanted(approval), now)

    def _mistakes(self, wanted: GrantRequest, now: float) -> granting.Mistakes:
        return granting.find_mistakes(
            self._catalogue, plan=wanted.plan, features=wanted.features, start=wanted.start, until=wanted.until, now=now
        )

    def _create(self, approval: Approval, now: float) -> Grant:
        return self._grants.create(
            self._readers.resolve_merged(str(approval.reader)),
            self._wanted(approval),
            approval.asker,
            now,
            grant_id=approval.payload["grant"],
            approval=approval.id,
        )

    def _check_change(self, approval: Approval, now: float) -> granting.Mistakes:
        try:
            current = self._current(str(approval.reader), approval.payload["grant"])
        except UnknownGrant:
            return _GONE
        if current.revoked_at is not None:
            return _GONE
        return granting.find_end_mistakes(
            self._catalogue, start=current.start, until=approval.payload["until"], now=now
        )

    def _change(self, approval: Approval, now: float) -> Grant:
        target, said, reason = (
            self._readers.resolve_merged(str(approval.reader)),
            approval.payload,
            approval.reason or "",
        )
        try:
            return self._grants.change(target, said["grant"], said["until"], reason, approval.asker, now)
        except (UnknownGrant, RevokedGrant):
            raise NoLongerPossible(_GONE) from None


_GONE: granting.Mistakes = [("grant", "was revoked meanwhile")]
