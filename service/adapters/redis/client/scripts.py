"""The scripts that run inside the store: files in `service/adapters/redis/lua/`, each known by its SHA-1, as EVALSHA wants it.

The registry is filled at import, by the modules that use a script. The prober loads all of it before it calls a store
reachable, so that no check ever pays for it; a server that has lost them since is told again in `Link.run`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "lua"
_REGISTRY: dict[str, Script] = {}


@dataclass(frozen=True)
class Script:
    """A Lua script: its name in logs and metrics, its text, and the SHA-1 that the store knows it by."""

    name: str
    text: bytes
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        # SHA-1 is the store's own name for a script; nothing rests on its strength.
        object.__setattr__(self, "sha", hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode())


def load(name: str) -> Script:
    """Read `lua/<name>.lua` and register it. Call it once, at the top of the module that runs it.

    Raises FileNotFoundError at import where the file is missing: a broken installation, not an outage.
    """
    script = _REGISTRY.get(name)
    if script is None:
        script = _REGISTRY[name] = Script(name, (_FOLDER / f"{name}.lua").read_bytes())
    return script


def registered() -> tuple[Script, ...]:
    """All scripts that have been loaded so far, in the order of their loading."""
    return tuple(_REGISTRY.values())
