"""Test the systemd units: they are valid, they expose little, and the service works under what they forbid."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings.settings import load_settings
from tests.running_service import Serve
from tests.store_servers import Until

EXAMPLES = Path(__file__).parents[2] / "config" / "systemd"
UNITS = sorted(EXAMPLES.glob("paywall*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
MOST_EXPOSURE = 15
"""Of 100, by `systemd-analyze security`. A service without hardening has 96."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Copy the units, with an executable that exists here."""
    for unit in UNITS:
        text = unit.read_text()
        assert unit.suffix == ".timer" or "/opt/paywall/.venv/bin/paywall" in text
        (tmp_path / unit.name).write_text(text.replace("/opt/paywall/.venv/bin/paywall", "/bin/true"))
    return [str(tmp_path / unit.name) for unit in UNITS]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_units_are_valid(units: list[str]) -> None:
    done = run("systemd-analyze", "verify", "--man=no", *units)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", [unit.name for unit in SERVICES])
def test_units_expose_little(units: list[str], name: str) -> None:
    (unit,) = [path for path in units if path.endswith(f"/{name}")]
    options = ["--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager"]
    done = run("systemd-analyze", "security", *options, unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot examine units offline")
    assert done.returncode == 0, done.stdout


def test_backup_is_restricted_like_the_service() -> None:
    def restrictions(unit: Path) -> str:
        return unit.read_text().partition("\nNoNewPrivileges=")[2].partition("\n[Install]")[0].strip()

    assert len({restrictions(unit) for unit in SERVICES}) == 1


def test_environment_file_names_settings_that_exist() -> None:
    lines = [line for line in (EXAMPLES / "environment").read_text().splitlines() if line and not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines)
    documented = (EXAMPLES.parents[1] / "docs" / "reference" / "configuration.md").read_text()
    assert [name for name in settings if f"| `{name}` |" not in documented] == []
    assert load_settings({**settings, "PAYWALL_CONFIG": str(EXAMPLES.parent)}).port == 8000


RESTRICTED = """
import ctypes, os, sys

NO_NEW_PRIVILEGES, MEMORY_DENY_WRITE_EXECUTE = 38, 65
libc = ctypes.CDLL(None)
libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
if libc.prctl(MEMORY_DENY_WRITE_EXECUTE, 1, 0, 0, 0):
    sys.exit("this kernel does not have PR_SET_MDWE, which is in Linux 6.3 and later")
os.umask(0o077)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Run a command as the unit does, with no new privileges and no memory that is both writable and executable."""


@pytest.mark.full
def test_service_needs_no_executable_memory_and_no_privilege(serve: Serve, until: Until) -> None:
    restricted = [sys.executable, "-c", RESTRICTED, sys.executable]
    probe = run(*restricted, "-c", "")
    if probe.returncode:
        pytest.skip(probe.stderr)
    paywall = serve(start=False)
    with (paywall.folder / "log").open("wb") as log:
        command = [*restricted, "-m", "service.entrypoints.cli", "serve"]
        paywall.process = subprocess.Popen(command, env=paywall.env, stdout=log, stderr=log, start_new_session=True)
    until(lambda: paywall.answers("/readyz"))
    paywall.grant("r")
    assert paywall.ask("a", reader="r")["reason"] == "grant"
    assert paywall.end() == 0
