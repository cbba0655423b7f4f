"""The packages from npm that tests use, as `tests/node/package-lock.json` pins them; without npm the tests are skipped."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WANTED = ROOT / "tests" / "node"
INSTALLED = ROOT / "test-output" / "node"
FILES = ("package.json", "package-lock.json")
OLDEST_NODE = (20, 19)
"""What `@redocly/cli` needs."""


class NodePackages:
    """A folder with `node_modules`. `run` starts one of its programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of a package, without telemetry and update checks."""
        quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}
        return subprocess.run(
            [self.folder / "node_modules" / ".bin" / program, *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="session")
def node_packages() -> NodePackages:
    """Install the packages once, for all test processes, and keep them until the lock file changes."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip("v\n")
    if tuple(map(int, version.split(".")[:2])) < OLDEST_NODE:
        pytest.skip(f"Node.js {version} is too old: {'.'.join(map(str, OLDEST_NODE))} is needed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    digest = sha256(b"".join((WANTED / name).read_bytes() for name in FILES)).hexdigest()
    done = INSTALLED / f"installed-{digest[:16]}"
    with (INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            _install(done)
    return NodePackages(INSTALLED)


def _install(done: Path) -> None:
    for name in FILES:
        shutil.copy(WANTED / name, INSTALLED)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    result = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=240, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no message"])[0]
        pytest.skip(f"npm cannot install the packages: {reason}")
    done.touch()
