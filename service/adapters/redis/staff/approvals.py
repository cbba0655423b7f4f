"""Approvals: what one admin requests and another confirms or refuses, once.

A request can name readers, so it is stored sealed. Confirming has two steps, so that a crash in between loses nothing and does
nothing twice: the claim (with its audit entry), then the work, which can be repeated, then the approval is removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from service.adapters.crypto import Sealer, new_id
from service.adapters.redis.audit.audit import Actor, AuditedHash, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.id_mentions import without_names
from service.domain.errors import NewerSchema, OwnApproval, UnknownApproval

SCHEMA = 1
EXPIRES_AFTER = 30 * 86_400
"""Seconds after which an approval expires; sooner if what it asks for ends before."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that waits. `payload` is for the code that does the work, `wants` is what admins are shown."""

    id: str
    kind: str
    reader: str | None
    payload: Mapping[str, Any]
    wants: Mapping[str, Any]
    reason: str | None
    asked_by: str
    from_ip: str | None
    asked_at: int
    expires_at: int
    state: Literal["waiting", "confirming"] = "waiting"
    settled_by: str | None = None

    @property
    def asker(self) -> Actor:
        return Actor(self.asked_by, self.from_ip)

    def is_own(self, actor: Actor) -> bool:
        """Return whether an actor asked for this, or can be the asker with another key: one that the asker created, or that
        was created with such a key. A key with unknown makers counts as the asker's.
        """
        return self.asked_by in (actor.name, *actor.makers) or None in actor.makers


class Approvals:
    """Stores approvals. Raises: StoreUnavailable from every method."""

    def __init__(self, registry: AuditedHash, sealer: Callable[[], Sealer]) -> None:
        self._registry = registry
        self._sealer = sealer

    def request(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        wants: Mapping[str, Any],
        reader: str | None,
        reason: str | None,
        actor: Actor,
        now: float,
        over_at: int | None = None,
        named: str | None = None,
    ) -> Approval:
        """Request the confirmation of a second admin. After `over_at` there is nothing left to confirm.

        `named` is the same for a repeat, which returns the first request.
        """
        expires = int(now) + EXPIRES_AFTER if over_at is None else min(over_at, int(now) + EXPIRES_AFTER)
        name = new_id("ap", now, named)
        asked = Approval(name, kind, reader, payload, wants, reason, actor.name, actor.from_ip, int(now), expires)
        after = {"kind": kind, **wants}
        written = audit_entry(actor, "approval.ask", now=now, reader=reader, target=name, after=after, reason=reason)
        is_new = self._registry.replace_field(name, None, self._packed(asked), written)
        return asked if is_new else self.find(name, now)

    def list_waiting(self, now: float) -> list[Approval]:
        """Return all that wait, newest first."""
        found = [approval for approval in self._all() if _waits(approval, now)]
        return sorted(found, key=lambda approval: (approval.asked_at, approval.id), reverse=True)

    def find(self, approval_id: str, now: float) -> Approval:
        """Return one that waits, or that is claimed and not done. Raises: UnknownApproval."""
        return self._found(approval_id, now)[1]

    def claim(self, approval_id: str, actor: Actor, now: float) -> Approval:
        """Confirm an approval, as the first admin who does; the work comes next, then `remove`.

        The admin who claimed it can do so again: then the work was not done. Raises: UnknownApproval, OwnApproval.
        """
        while True:
            kept, approval = self._found(approval_id, now)
            if approval.state == "confirming":
                if approval.settled_by != actor.name:
                    raise UnknownApproval
                return approval
            if approval.is_own(actor):
                raise OwnApproval
            claimed = replace(approval, state="confirming", settled_by=actor.name)
            written = _settled(approval, actor, "approval.confirm", "confirmed", None, now)
            if self._registry.replace_field(approval_id, kept, self._packed(claimed), written):
                return claimed

    def refuse(self, approval_id: str, actor: Actor, reason: str | None, now: float) -> Approval:
        """Refuse an approval, or withdraw one's own. Raises: UnknownApproval."""
        while True:
            kept, approval = self._found(approval_id, now)
            if approval.state != "waiting":
                raise UnknownApproval
            written = _settled(approval, actor, "approval.refuse", "refused", reason, now)
            if self._registry.replace_field(approval_id, kept, None, written):
                return replace(approval, settled_by=actor.name)

    def remove(self, approval_id: str) -> None:
        """Remove an approval whose work is done, or can no longer be done."""
        kept = self._registry.load(approval_id)
        if kept is not None:
            self._registry.replace_field(approval_id, kept, None, None)

    def list_claimed(self) -> list[Approval]:
        """Return what was confirmed and is not done: a process works on it, or died doing so."""
        return [approval for approval in self._all() if approval.state == "confirming"]

    def prune(self, now: float) -> int:
        """Remove expired approvals, and return their number."""
        over = [a for a in self._all() if a.state == "waiting" and not _waits(a, now)]
        for approval in over:
            self.remove(approval.id)
        return len(over)

    def remove_readers(self, tags: Collection[bytes], names: Sequence[str]) -> int:
        """Remove the approvals about these readers, who are being erased, by their hashes. Returns their number.

        The reasons of other approvals lose the names.
        """
        found = self._all()
        about = [one for one in found if one.reader is not None and reader_hash(one.reader) in tags]
        for approval in about:
            self.remove(approval.id)
        for approval in found:
            if approval not in about and approval.reason and approval.reason != without_names(approval.reason, names):
                self._redact(approval.id, names)
        return len(about)

    def _redact(self, approval_id: str, names: Sequence[str]) -> None:
        """Remove names from a reason; repeat if another process changes the approval at the same moment."""
        while kept := self._registry.load(approval_id):
            approval = self._opened(kept)
            if approval is None or approval.reason is None:
                return
            redacted = replace(approval, reason=without_names(approval.reason, names))
            if self._registry.replace_field(approval_id, kept, self._packed(redacted), None):
                return

    def _found(self, approval_id: str, now: float) -> tuple[bytes, Approval]:
        kept = self._registry.load(approval_id)
        approval = self._opened(kept) if kept is not None else None
        if kept is None or approval is None or not (approval.state == "confirming" or _waits(approval, now)):
            raise UnknownApproval
        return kept, approval

    def _all(self) -> list[Approval]:
        found = (self._opened(kept) for kept in self._registry.load_all().values())
        return [approval for approval in found if approval is not None]

    def _packed(self, approval: Approval) -> bytes:
        return self._sealer().seal(json.dumps([SCHEMA, asdict(approval)]).encode()).encode()

    def _opened(self, kept: bytes) -> Approval | None:
        """Return an approval, or `None` if it was sealed with a secret that is gone, or not by this service."""
        text = self._sealer().open(kept.decode("ascii", "replace"))
        if text is None:
            return None
        schema, fields = json.loads(text)
        if schema != SCHEMA:
            raise NewerSchema(f"an approval of schema {schema}, this service knows {SCHEMA}")
        return Approval(**fields)


def _waits(approval: Approval, now: float) -> bool:
    return approval.state == "waiting" and now < approval.expires_at


def _settled(
    approval: Approval, actor: Actor, action: str, state: str, reason: str | None, now: float
) -> dict[str, Any]:
    return audit_entry(
        actor,
        action,
        now=now,
        reader=approval.reader,
        target=approval.id,
        before={"state": "waiting"},
        after={"state": state},
        reason=reason,
    )
