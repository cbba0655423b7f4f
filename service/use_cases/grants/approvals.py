"""Confirm what waits for a second admin, do it once, and finish it after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.grants.imports import ImportManifest
from service.adapters.redis.staff.approvals import Approval, Approvals
from service.domain.errors import NoLongerPossible
from service.domain.sources import Grant

Outcome = Grant | ImportManifest
"""The result of confirmed work."""

Mistakes = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work. `check` says what speaks against it now; `do` is safe to repeat and gives what came of it.

    `do` may raise `NoLongerPossible`: then nothing was done, and the approval is settled.
    """

    check: Callable[[Approval, float], Mistakes]
    do: Callable[[Approval, float], Outcome]


class Approving:
    """Confirms approvals. A use case whose work can wait registers its kind with `add`."""

    def __init__(self, approvals: Approvals) -> None:
        self.approvals = approvals
        self._kinds: dict[str, Work] = {}

    def add(self, kind: str, work: Work) -> None:
        """Register a kind of work."""
        self._kinds[kind] = work

    def confirm(self, approval_id: str, actor: Actor, now: float) -> tuple[Approval, Outcome]:
        """Confirm a request and do it. Raises: `UnknownApproval`, `OwnApproval`, `NoLongerPossible` (it then stays pending)."""
        approval = self.approvals.find(approval_id, now)
        if approval.asked_by != actor.name and (mistakes := self._kinds[approval.kind].check(approval, now)):
            raise NoLongerPossible(mistakes)
        claimed = self.approvals.claim(approval_id, actor, now)
        return claimed, self._do(claimed, now)

    def finish_all(self, now: float) -> int:
        """Do what was confirmed in a process that stopped before it was done. Return how many there were."""
        claimed = [approval for approval in self.approvals.list_claimed() if approval.kind in self._kinds]
        for approval in claimed:
            try:
                self._do(approval, now)
            except NoLongerPossible:
                continue
        return len(claimed)

    def _do(self, approval: Approval, now: float) -> Outcome:
        try:
            outcome = self._kinds[approval.kind].do(approval, now)
        except NoLongerPossible:
            self.approvals.remove(approval.id)
            raise
        self.approvals.remove(approval.id)
        return outcome
