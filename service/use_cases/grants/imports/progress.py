"""An import as admins see it."""

from __future__ import annotations

from typing import Any

from service.adapters.redis.grants.imports import ImportManifest
from service.domain.times import write_time


def public(state: str) -> str:
    """The state in the contract's words: what is being undone is applied on the way back."""
    return "applying" if state == "undoing" else state


def told_of(manifest: ImportManifest) -> dict[str, Any]:
    """An import as admins see it. What was planned is told until it is done, then what was done."""
    counts = manifest.planned if manifest.state in ("staged", "applying") else manifest.counted
    undoing = manifest.undo is not None
    return {
        "id": manifest.id,
        "state": public(manifest.state),
        "rows": manifest.rows,
        **{name: counts.get(name, 0) for name in ("new", "extended", "unchanged")},
        "skipped": manifest.counted.get("skipped", 0),
        "errors": [],
        "actor": manifest.actor.name,
        "created_at": write_time(manifest.created_at),
        "approval": manifest.approval,
        "progress": {"done": manifest.cursor, "of": manifest.chunks},
        "undo": {name: manifest.counted[name] for name in ("taken_back", "left_alone")} if undoing else None,
    }
