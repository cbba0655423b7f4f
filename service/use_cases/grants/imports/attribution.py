"""Whose doing a grant is as it stands: its changes without those that were undone.

Entries of imports in the audit log are named after the import, and a reader's history names the entry behind each change;
so an undoing can tell another import's hand from an admin's, and what stays when it takes its own away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from service.use_cases.grants.imports.grant_states import Change

_BY_IMPORT = re.compile(r"audit:(im_[^.]+)\.(given|undone)")


def entry_of(import_id: str) -> str:
    """The id of the audit entry that says that an import was applied."""
    return f"{import_id}.given"


def undo_entry_of(import_id: str) -> str:
    """The id of the audit entry that says that it was undone."""
    return f"{import_id}.undone"


def in_force(changes: Sequence[Change], undone: Callable[[str], bool]) -> list[Change]:
    """The changes that still count, oldest first: no undoings, and nothing of imports that are `undone`."""
    return [change for change in changes if _counts(change, undone)]


def _counts(change: Change, undone: Callable[[str], bool]) -> bool:
    found = _BY_IMPORT.fullmatch(change.cause)
    return found is None or (found[2] == "given" and not undone(found[1]))
