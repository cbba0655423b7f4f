"""Create, change and revoke grants, or ask for a second admin where `[grants]` requires one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.grants import GrantRequest, Grants
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.staff.approvals import Approval, Approvals
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.errors import InvalidFields, NoLongerPossible, RevokedGrant, UnknownGrant
from service.domain.sources import Grant, end_order
from service.domain.times import write_time
from service.use_cases.approvals.approval_workflow import ApprovalKind

CREATE, CHANGE = "grant.create", "grant.change"
_REVOKED: grant_rules.Mistakes = [("grant", "was revoked meanwhile")]


def to_grant_request(data: Mapping[str, Any], now: float) -> GrantRequest:
    """Return the grant that the loaded fields of a request ask for; without `from_` it begins now."""
    start = int(now if data.get("from_") is None else data["from_"])
    until = None if data["until"] is None else int(data["until"])
    return GrantRequest(
        data.get("plan"), tuple(dict.fromkeys(data.get("features") or ())), data["reason"], start, until
    )


class GrantChanges:
    """Changes grants. `reader` is the ID as the admin writes it. Raises: StoreUnavailable from every method."""

    def __init__(self, catalogue: Catalogue, readers: Readers, grants: Grants, approvals: Approvals) -> None:
        self._catalogue = catalogue
        self._readers = readers
        self._grants = grants
        self._approvals = approvals

    def create(
        self, reader: str, wanted: GrantRequest, actor: Actor, now: float, *, named: str | None = None
    ) -> Grant | Approval:
        """Create a grant, or ask for approval. `named` is the same for a repeat. Raises: InvalidFields."""
        if mistakes := self._find_mistakes(wanted, now):
            raise InvalidFields(mistakes)
        grant_id = new_id("gr", now, named)
        start, until = wanted.start, wanted.until
        if not grant_rules.needs_second_admin(self._catalogue, start=start, until=until, now=now):
            return self._grants.create(self._readers.resolve_merged(reader), wanted, actor, now, grant_id=grant_id)
        features = list(wanted.features)
        what: dict[str, Any] = {"plan": wanted.plan} if wanted.plan else {"features": features}
        return self._approvals.request(
            CREATE,
            {"grant": grant_id, "plan": wanted.plan, "features": features, "from": start, "until": until},
            wants={**what, "from": write_time(start), "until": write_time(until)},
            reader=reader,
            reason=wanted.reason,
            actor=actor,
            now=now,
            over_at=until,
            named=named,
        )

    def change(
        self, reader: str, grant_id: str, end: float | None, reason: str, actor: Actor, now: float
    ) -> Grant | Approval:
        """Set the end of a grant, or ask for approval. Raises: UnknownGrant, RevokedGrant, InvalidFields."""
        until = None if end is None else int(end)
        current = self._find(reader, grant_id)
        if current.revoked_at is not None:
            raise RevokedGrant
        if mistakes := grant_rules.find_end_mistakes(self._catalogue, start=current.start, until=until, now=now):
            raise InvalidFields(mistakes)
        needs_second = grant_rules.needs_second_admin(self._catalogue, start=current.start, until=until, now=now)
        if not needs_second or end_order(until) <= end_order(current.until):
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
        """Revoke a grant at once; one that is revoked already stays as it is. Raises: UnknownGrant."""
        return self._grants.revoke(self._readers.resolve_merged(reader), grant_id, reason, actor, now)

    def _find(self, reader: str, grant_id: str) -> Grant:
        return self._grants.find(self._readers.resolve_merged(reader), grant_id)

    def _find_mistakes(self, wanted: GrantRequest, now: float) -> grant_rules.Mistakes:
        return grant_rules.find_mistakes(
            self._catalogue, plan=wanted.plan, features=wanted.features, start=wanted.start, until=wanted.until, now=now
        )

    # What an approval does.

    def approval_kinds(self) -> dict[str, ApprovalKind]:
        """Return how grants that wait for a second admin are checked and written."""
        return {
            CREATE: ApprovalKind(lambda approval, now: self._find_mistakes(_request_in(approval), now), self._create),
            CHANGE: ApprovalKind(
                self._check_change, self._change, lambda approval: self._find_unrevoked(approval) is None
            ),
        }

    def _create(self, approval: Approval, now: float) -> Grant:
        return self._grants.create(
            self._readers.resolve_merged(str(approval.reader)),
            _request_in(approval),
            approval.asker,
            now,
            grant_id=approval.payload["grant"],
            approval=approval.id,
        )

    def _check_change(self, approval: Approval, now: float) -> grant_rules.Mistakes:
        current = self._find_unrevoked(approval)
        if current is None:
            return _REVOKED
        until = approval.payload["until"]
        return grant_rules.find_end_mistakes(self._catalogue, start=current.start, until=until, now=now)

    def _find_unrevoked(self, approval: Approval) -> Grant | None:
        try:
            found = self._find(str(approval.reader), approval.payload["grant"])
        except UnknownGrant:
            return None
        return None if found.revoked_at is not None else found

    def _change(self, approval: Approval, now: float) -> Grant:
        reader, asked, reason = str(approval.reader), approval.payload, approval.reason or ""
        target = self._readers.resolve_merged(reader)
        try:
            return self._grants.change(target, asked["grant"], asked["until"], reason, approval.asker, now)
        except (UnknownGrant, RevokedGrant):
            raise NoLongerPossible(_REVOKED) from None


def _request_in(approval: Approval) -> GrantRequest:
    asked = approval.payload
    return GrantRequest(asked["plan"], tuple(asked["features"]), approval.reason or "", asked["from"], asked["until"])
