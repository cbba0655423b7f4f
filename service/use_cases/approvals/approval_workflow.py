"""What waits for a second admin: list it, confirm it, do it once, and finish it after a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.staff.approvals import Approval, Approvals
from service.domain.errors import NoLongerPossible
from service.domain.grant_rules import Mistakes
from service.domain.sources import Grant

Outcome = Grant | ImportManifest
"""The result of a confirmed approval."""


class ApprovalKind(NamedTuple):
    """What to do for one kind of approval. The first two functions also get the time (epoch seconds).

    `check` returns what prevents it now. `carry_out` can be repeated; it raises `NoLongerPossible` if it did nothing.
    `is_obsolete` returns whether what it would change is gone, so that nobody has to decide about it.
    """

    check: Callable[[Approval, float], Mistakes]
    carry_out: Callable[[Approval, float], Outcome]
    is_obsolete: Callable[[Approval], bool] = lambda approval: False


class ApprovalWorkflow:
    """Lists and confirms approvals of the given kinds. Raises: StoreUnavailable from every method."""

    def __init__(self, approvals: Approvals, kinds: Mapping[str, ApprovalKind]) -> None:
        self._approvals = approvals
        self._kinds = kinds

    def list_waiting(self, now: float) -> list[Approval]:
        """Return all that wait for a decision, newest first, also of a kind that only a newer release knows."""
        waiting = self._approvals.list_waiting(now)
        return [one for one in waiting if one.kind not in self._kinds or not self._kinds[one.kind].is_obsolete(one)]

    def confirm(self, approval_id: str, actor: Actor, now: float) -> tuple[Approval, Outcome]:
        """Confirm an approval and carry it out. It goes on waiting if `NoLongerPossible` is raised before it is claimed.

        Raises: UnknownApproval, OwnApproval, NoLongerPossible.
        """
        approval = self._approvals.find(approval_id, now)
        if not approval.is_own(actor) and (mistakes := self._kinds[approval.kind].check(approval, now)):
            raise NoLongerPossible(mistakes)
        claimed = self._approvals.claim(approval_id, actor, now)
        return claimed, self._carry_out(claimed, now)

    def finish_all(self, now: float) -> int:
        """Carry out what was confirmed by a process that died before it was done. Return the number."""
        claimed = [approval for approval in self._approvals.list_claimed() if approval.kind in self._kinds]
        for approval in claimed:
            try:
                self._carry_out(approval, now)
            except NoLongerPossible:
                continue
        return len(claimed)

    def _carry_out(self, approval: Approval, now: float) -> Outcome:
        try:
            outcome = self._kinds[approval.kind].carry_out(approval, now)
        except NoLongerPossible:
            self._approvals.remove(approval.id)
            raise
        self._approvals.remove(approval.id)
        return outcome
