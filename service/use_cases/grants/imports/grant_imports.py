"""What web and command line call: a dry run, an import, how far it is, its undoing; and what erasing a reader needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from service.adapters.identifiers import new_id
from service.adapters.redis.audit.audit import Actor, AuditWriter, audit_entry
from service.adapters.redis.client.keys import import_tag
from service.adapters.redis.grants.imports import Action, ImportManifest, ImportStore
from service.adapters.redis.staff.approvals import Approval
from service.domain import grant_rules as granting
from service.domain.catalogue import Catalogue
from service.domain.errors import NoLongerPossible, UndoneImport, UnknownImport, WrongRows
from service.use_cases.grants.approvals import Approving, Mistakes, Work
from service.use_cases.grants.imports.attribution import undo_entry_of
from service.use_cases.grants.imports.pacing import HASTE, Pace, patiently
from service.use_cases.grants.imports.roll_forward import Background, Progress, Roller
from service.use_cases.grants.imports.rows import Sheet
from service.use_cases.grants.imports.staging import PLANNED, Changes, Staging

KIND = "import.apply"
_ENOUGH = 60.0
_POLL = 0.05

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An import that a second admin has to confirm."""

    manifest: ImportManifest
    approval: Approval


class GrantImports:
    """Every method raises `StoreUnavailable` where the store is away."""

    def __init__(
        self,
        store: ImportStore,
        staging: Staging,
        roller: Roller,
        background: Background,
        *,
        catalogue: Catalogue,
        audit: AuditWriter,
        approving: Approving,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._staging = staging
        self._roller = roller
        self.background = background
        self._catalogue = catalogue
        self._audit = audit
        self._approvals = approving.approvals
        self._clock = clock
        approving.add(KIND, Work(self._check, self._confirmed))

    def dry_run(self, sheet: Sheet, now: float, pace: Pace = HASTE, actions: dict[int, Action] | None = None) -> Counts:
        """What the sheet would do; mistakes that only show beside what readers hold are added to the sheet's.

        `actions` is filled with what each line that is right would do.
        """
        counts = dict.fromkeys(PLANNED, 0)
        for line, row in self._staging.plan(sheet, "", now, pace):
            counts[row.action] += 1
            if actions is not None:
                actions[line] = row.action
        return counts

    def submit(
        self, sheet: Sheet, actor: Actor, now: float, pace: Pace = HASTE, *, named: str | None = None
    ) -> ImportManifest | Waiting:
        """Stages the sheet and commits it, or asks for a second admin where `[grants]` wants one. `WrongRows`.

        `named` is the same for a repeat of it, which finds what the first came to.
        """
        if sheet.mistakes:
            raise WrongRows(sheet.mistakes)
        import_id = new_id("im", now, named)
        if named and (begun := self._store.find(import_id)) and begun.state != "staged":
            return begun
        manifest, changes = self._staging.stage(import_id, sheet, actor, now, pace)
        if self._needs_second_admin(changes, now):
            return self._ask(manifest, sheet, actor, now, named)
        return self._commit(manifest, None, now)

    def _needs_second_admin(self, changes: Changes, now: float) -> bool:
        readers = len(changes.readers)
        return any(
            granting.needs_second_admin(self._catalogue, start=int(now), until=end, now=now, readers=readers)
            for end in changes.ends
        )

    def _ask(self, manifest: ImportManifest, sheet: Sheet, actor: Actor, now: float, named: str | None) -> Waiting:
        ends = [entry.until for entry in sheet.entries]
        approval = self._approvals.request(
            KIND,
            {"import": manifest.id},
            wants={"import": manifest.id, "rows": manifest.rows, **manifest.planned},
            reader=None,
            reason=None,
            actor=actor,
            now=now,
            over_at=None if None in ends else max(end for end in ends if end is not None),
            named=named,
        )
        self._store.save_approval(manifest.id, approval.id)
        return Waiting(manifest, approval)

    def _commit(self, manifest: ImportManifest, approval: str | None, now: float) -> ImportManifest:
        """Commits, once; from then on it will be done, by whoever."""
        after: dict[str, Any] = {"rows": manifest.rows, **manifest.planned}
        if approval is not None:
            after["approval"] = approval
        written = audit_entry(
            manifest.actor, KIND, now=now, reader=None, target=manifest.id, before=None, after=after, reason=None
        )
        written["id"] = manifest.entry
        self._audit.announce_at(import_tag(manifest.id))
        self._store.commit(manifest.id, manifest.entry, self._audit.sign_entry(written))
        self._audit.flush_quietly(import_tag(manifest.id))
        self.background.wake()
        return self.find(manifest.id)

    # Where a second admin confirms.

    def _check(self, approval: Approval, now: float) -> Mistakes:
        manifest = self._store.find(approval.payload["import"])
        if manifest is None or manifest.state in ("undoing", "undone"):
            return [("import", "was undone meanwhile, or is no longer kept")]
        return self._no_longer_granted(manifest, now) if manifest.state == "staged" else []

    def _no_longer_granted(self, manifest: ImportManifest, now: float) -> Mistakes:
        """What speaks against its plans and ends by now: the configuration may be another since it was staged."""
        rows = [row for number in range(manifest.chunks) for row in self._store.load_chunk(manifest.id, number)]
        asked = {(row.plan, row.until) for row in rows if row.until is None or row.until > now}
        found = [
            granting.find_mistakes(self._catalogue, plan=plan, features=(), start=int(now), until=until, now=now)
            for plan, until in asked
        ]
        return list(dict.fromkeys(mistake for mistakes in found for mistake in mistakes))

    def _confirmed(self, approval: Approval, now: float) -> ImportManifest:
        if mistakes := self._check(approval, now):
            raise NoLongerPossible(mistakes)
        manifest = self.find(approval.payload["import"])
        if manifest.state == "staged":
            manifest = self._commit(self._staging.anew(manifest, now), approval.id, now)
        return manifest

    # Afterwards.

    def find(self, import_id: str) -> ImportManifest:
        """An import. `UnknownImport`."""
        manifest = self._store.find(import_id)
        if manifest is None:
            raise UnknownImport
        return manifest

    def undo(self, import_id: str, reason: str, actor: Actor, now: float) -> ImportManifest:
        """Commits its undoing: what it gave is taken back, and nothing else. `UnknownImport`, `UndoneImport`."""
        manifest = self.find(import_id)
        if manifest.state == "undone":
            raise UndoneImport
        written = audit_entry(
            actor,
            "import.undo",
            now=now,
            reader=None,
            target=import_id,
            before={"state": manifest.public_state},
            after={"state": "undone"},
            reason=reason,
        )
        written["id"] = undo_entry_of(import_id)
        self._audit.announce_at(import_tag(import_id))
        self._store.commit_undo(import_id, written["id"], self._audit.sign_entry(written))
        self._audit.flush_quietly(import_tag(import_id))
        self.background.wake()
        return self.find(import_id)

    def roll(self, import_id: str, progress: Progress | None = None) -> ImportManifest:
        """Does what is committed here and now, or waits for whoever is at it. For who has nothing else to do."""
        begun = time.monotonic()
        while (
            patiently(lambda: self._roller.roll(import_id, progress), _ENOUGH) == "busy"
            and time.monotonic() - begun < _ENOUGH
        ):
            threading.Event().wait(_POLL)
            if progress is not None and (manifest := self._store.find(import_id)):
                progress(manifest.cursor, manifest.chunks)
        return self.find(import_id)

    def finish_all(self) -> int:
        """Finishes whatever was committed and left. Gives how many."""
        found = [self._store.find(import_id) for import_id in self._store.list_open()]
        left = [manifest.id for manifest in found if manifest and manifest.state in ("applying", "undoing")]
        for import_id in left:
            self.roll(import_id)
        return len(left)

    def forget(self, tags: Collection[bytes]) -> int:
        """Takes a reader who is being erased out of what is staged. Gives how many rows went.

        What is under way is finished first: then its rows hold neither reasons nor anything else that is not a hash.
        """
        names, gone = {tag.decode() for tag in tags}, 0
        for import_id in self._store.list_open():
            manifest = self._store.find(import_id)
            rows, whole = self._staging.forget(manifest, names) if manifest is not None else (0, True)
            gone += rows
            if not whole:
                self.roll(import_id)
        return gone
