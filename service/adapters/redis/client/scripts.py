"""Lua scripts that run in the store: files in `service/adapters/redis/lua/`, each known by its SHA-1, as EVALSHA needs it.

Modules register their scripts at import. The prober loads all of them before it reports a store as available, so an access
check never has to; `Link.run` handles a server that has lost them since.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parents[1] / "lua"
_REGISTRY: dict[str, Script] = {}


@dataclass(frozen=True)
class Script:
    """A Lua script: its name in logs and metrics, its text, and the SHA-1 by which the store knows it."""

    name: str
    text: bytes
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        # SHA-1 is how the store names a script; no security depends on it.
        object.__setattr__(self, "sha", hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode())


class ScriptCall(NamedTuple):
    """A script with its keys, which share a slot, and its arguments."""

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[bytes | str | int, ...]


def load(name: str) -> Script:
    """Read `lua/<name>.lua` and register it. Call it once, at the top of the module that runs the script.

    Raises: FileNotFoundError at import if the file is missing: the installation is broken.
    """
    script = _REGISTRY.get(name)
    if script is None:
        script = _REGISTRY[name] = Script(name, (_FOLDER / f"{name}.lua").read_bytes())
    return script


def registered() -> tuple[Script, ...]:
    """Return all scripts that were loaded so far, in order."""
    return tuple(_REGISTRY.values())
