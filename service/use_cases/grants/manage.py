"""Giving and changing grants, or asking for a second admin where `[grants]` wants one; for every surface."""

from __future__ import annotations

from typing import Any

from service.adapters.identifiers import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest, Grants
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.staff.approvals import Approval
from service.domain import grant_rules as granting
from service.domain.catalogue import Catalogue
from service.domain.errors import NoLongerPossible, RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.domain.times import write_time
from service.use_cases.grants.approvals import Approving, Work

CREATE, CHANGE = "grant.create", "grant.change"


class WrongEnd(Exception):
    """A grant cannot have this end. `mistakes`: pairs of a field and what is wrong with it."""

    def __init__(self, mistakes: granting.Mistakes) -> None:
        super().__init__(str(mistakes))
        self.mistakes = mistakes


class Giving:
    """Every method raises `StoreUnavailable` where the store is away. `reader` is the id as the admin writes it."""

    def __init__(self, catalogue: Catalogue, readers: Readers, grants: Grants, approving: Approving) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._grants = grants
        self._approvals = approving.approvals
        approving.add(CREATE, Work(self._check_create, self._create))
        approving.add(CHANGE, Work(self._check_change, self._change))

    def give(
        self, reader: str, wanted: GrantRequest, actor: Actor, now: float, *, named: str | None = None
    ) -> Grant | Approval:
        """Gives what `wanted_of` found nothing wrong with; `named` is the same for a repeat of it."""
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
        """Gives a grant another end. `UnknownGrant`, `RevokedGrant`, `WrongEnd`."""
        current = self._current(reader, grant_id)
        if current.revoked_at is not None:
            raise RevokedGrant
        if mistakes := granting.find_end_mistakes(self._catalogue, start=current.start, until=until, now=now):
            raise WrongEnd(mistakes)
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
        wanted = self._wanted(approval)
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
