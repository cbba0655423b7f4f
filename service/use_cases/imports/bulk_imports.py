"""Import rows of any kind, for the entrypoints: dry run, import, progress and undo; and remove a reader who is being erased."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import import_tag
from service.adapters.redis.imports.import_store import ImportManifest, ImportStore
from service.adapters.redis.staff.approvals import Approval, Approvals
from service.domain import grant_rules
from service.domain.errors import CannotUndo, NoLongerPossible, UndoneImport, UnknownImport, WrongRows
from service.use_cases.approvals.approval_workflow import ApprovalKind
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import AnyKind, PlanContext, SecondAdminRule, undo_entry_id
from service.use_cases.imports.pacing import UNPACED, Pace, retry_while_unavailable
from service.use_cases.imports.runner import ImportRunner, Progress
from service.use_cases.imports.staging import ImportStaging

APPLY = "import.apply"
"""The action in the audit log, and the kind of approval."""
SHOWN_LINES = 10_000
"""Lines of which a dry run names the action."""
PATIENCE = 60.0
"""Seconds for which `finish` waits for a process that holds the lease and gets no further, or for an unavailable store."""
_POLL_EVERY = 0.05

Commit = Callable[[str, str, bytes], object]
"""Commits an import or its undo: the ID of the import, and its audit entry's ID and signed text."""


@dataclass(frozen=True, slots=True)
class PendingImport:
    """An import that waits for the approval of a second admin; `waited` if the same rows had been sent before."""

    manifest: ImportManifest
    approval: Approval
    waited: bool = False


class DryRun(NamedTuple):
    """What an import would do: how many rows of each action, and the actions of the first lines."""

    counts: Mapping[str, int]
    actions: Mapping[int, str]


@dataclass(frozen=True)
class BulkImports:
    """Imports of every kind. Raises: StoreUnavailable from every method."""

    store: ImportStore
    staging: ImportStaging
    runner: ImportRunner
    kinds: Mapping[str, AnyKind]
    audit: AuditWriter
    approvals: Approvals

    def dry_run(
        self,
        kind: str,
        sheet: ImportSheet[Any],
        now: float,
        pace: Pace = UNPACED,
        *,
        rule: SecondAdminRule | None = None,
        **about: Any,
    ) -> DryRun:
        """Return what an import would do; add to the sheet the mistakes that only the store reveals."""
        found, counts, actions = self.kinds[kind], Counter[str](), dict[int, str]()
        for line, row in found.plan(sheet, PlanContext("", now, pace, about)):
            counts[row.action] += 1
            if rule is not None:
                rule.add(row)
            if 0 < line <= SHOWN_LINES:
                actions[line] = row.action
        return DryRun({name: counts[name] for name in found.results}, actions)

    def submit(
        self,
        kind: str,
        sheet: ImportSheet[Any],
        actor: Actor,
        now: float,
        pace: Pace = UNPACED,
        *,
        named: str | None = None,
        digest: str | None = None,
        reason: str | None = None,
        **about: Any,
    ) -> ImportManifest | PendingImport:
        """Stage a sheet and commit it, or request an approval where its kind requires one. Raises: WrongRows.

        `named` is the same for a repeat, which returns the import that the first request created. `digest` stands for the
        rows: where the same rows wait for an approval, it is returned. `about` is what the request says besides the rows;
        it is kept with the import, and stands in its audit entry.
        """
        if sheet.mistakes:
            raise WrongRows(sheet.mistakes)
        import_id = new_id("im", now, named)
        if named and (earlier := self.store.find(import_id)) and earlier.state != "staged":
            return earlier
        if digest and (waiting := self._find_waiting(digest, now)):
            return waiting
        rule = self.kinds[kind].second_admin_rule(now)
        context = PlanContext(import_id, now, pace, about)
        manifest = self.staging.stage(self.kinds[kind], sheet, actor, context, rule)
        if not rule.is_needed():
            return self.commit(manifest, now, reason=reason)
        approval = self.approvals.request(
            APPLY,
            {"import": manifest.id, "digest": digest},
            wants={"import": manifest.id, **manifest.about, "rows": manifest.rows, **manifest.planned},
            reader=None,
            reason=reason,
            actor=actor,
            now=now,
            over_at=rule.over_at(),
            named=named,
        )
        self.store.save_approval(manifest.id, approval.id)
        return PendingImport(manifest, approval)

    def _find_waiting(self, digest: str, now: float) -> PendingImport | None:
        """Return the import of the same rows that waits for an approval."""
        for approval in self.approvals.list_waiting(now):
            if approval.kind == APPLY and approval.payload.get("digest") == digest:
                return PendingImport(self.find(approval.payload["import"]), approval, waited=True)
        return None

    def commit(
        self, manifest: ImportManifest, now: float, approval: str | None = None, reason: str | None = None
    ) -> ImportManifest:
        """Commit a staged import once; from then on some process applies it."""
        after = {**manifest.about, "rows": manifest.rows, **manifest.planned}
        if approval:
            after["approval"] = approval
        written = audit_entry(manifest.actor, APPLY, now=now, target=manifest.id, after=after, reason=reason)
        written["id"] = manifest.entry
        return self._run_recorded(self.store.commit, manifest.id, written)

    def _run_recorded(self, commit: Commit, import_id: str, written: dict[str, Any]) -> ImportManifest:
        """Commit with an audit entry, and let the thread of this process begin with the work.

        A time-out of the store leaves open whether it has committed. The commit changes nothing the second time.
        """
        with self.audit.recording(import_tag(import_id), written) as entry:
            retry_while_unavailable(lambda: commit(import_id, written["id"], entry))
        self.runner.wake()
        return retry_while_unavailable(lambda: self.find(import_id))

    # What an approval does.

    def approval_kinds(self) -> dict[str, ApprovalKind]:
        """Return how imports that wait for a second admin are checked and committed."""
        return {APPLY: ApprovalKind(self._check, self._carry_out)}

    def _check(self, approval: Approval, now: float) -> grant_rules.Mistakes:
        manifest = self.store.find(approval.payload["import"])
        if manifest is None or manifest.state in ("undoing", "undone"):
            return [("import", "was undone meanwhile, or is no longer kept")]
        if manifest.state != "staged":
            return []
        kind = self.kinds[manifest.kind]
        return kind.find_mistakes(self.staging.load_rows(manifest, kind), now)

    def _carry_out(self, approval: Approval, now: float) -> ImportManifest:
        if mistakes := self._check(approval, now):
            raise NoLongerPossible(mistakes)
        manifest = self.find(approval.payload["import"])
        if manifest.state == "staged":
            planned = self.staging.restage(manifest, self.kinds[manifest.kind], now)
            manifest = self.commit(planned, now, approval.id, approval.reason)
        return manifest

    # After the commit.

    def find(self, import_id: str, kind: str | None = None) -> ImportManifest:
        """Return an import, of this kind if one is given. Raises: UnknownImport."""
        manifest = self.store.find(import_id)
        if manifest is None or kind not in (None, manifest.kind):
            raise UnknownImport
        return manifest

    def undo(self, import_id: str, reason: str, actor: Actor, now: float, kind: str | None = None) -> ImportManifest:
        """Commit the undo of an import, which takes back only what it did. Raises: UnknownImport, UndoneImport,
        CannotUndo.
        """
        manifest = self.find(import_id, kind)
        if not self.kinds[manifest.kind].can_undo:
            raise CannotUndo
        if manifest.state == "undone":
            raise UndoneImport
        before, after = {"state": manifest.public_state}, {"state": "undone"}
        written = audit_entry(
            actor, "import.undo", now=now, target=import_id, before=before, after=after, reason=reason
        )
        written["id"] = undo_entry_id(import_id)
        undone = self._run_recorded(self.store.commit_undo, import_id, written)
        if manifest.approval:
            self.approvals.remove(manifest.approval)
        return undone

    def finish(self, import_id: str, progress: Progress | None = None) -> ImportManifest:
        """Run a committed import in this thread, or wait for the process that runs it while that gets on."""
        cursor, moved_at = -1, time.monotonic()
        while retry_while_unavailable(lambda: self.runner.run(import_id, progress), PATIENCE) == "busy":
            manifest = retry_while_unavailable(lambda: self.find(import_id), PATIENCE)
            if manifest.cursor != cursor:
                cursor, moved_at = manifest.cursor, time.monotonic()
            elif time.monotonic() - moved_at > PATIENCE:
                break
            if progress is not None:
                progress(manifest.cursor, manifest.chunks)
            threading.Event().wait(_POLL_EVERY)
        return retry_while_unavailable(lambda: self.find(import_id), PATIENCE)

    def finish_all(self) -> int:
        """Finish the committed imports that were left unfinished, and return their number."""
        found = [self.store.find(import_id) for import_id in self.store.list_open()]
        unfinished = [manifest.id for manifest in found if manifest and manifest.state in ("applying", "undoing")]
        for import_id in unfinished:
            self.finish(import_id)
        return len(unfinished)

    def remove_reader(self, tags: Collection[bytes], names: Sequence[str]) -> int:
        """Remove a reader, by their hashes, from what is staged, and the names from its reasons. Return the number of rows
        removed.

        Imports under way are finished first: afterwards their rows hold no reasons, and no IDs of readers.
        """
        hashes, removed = {tag.decode() for tag in tags}, 0
        for import_id in self.store.list_open():
            manifest = self.store.find(import_id)
            if manifest is None:
                continue
            rows, still_staged = self.staging.remove_reader(manifest, self.kinds[manifest.kind], hashes, names)
            removed += rows
            if not still_staged:
                self.finish(import_id)
        return removed
