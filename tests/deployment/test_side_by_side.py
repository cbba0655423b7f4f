"""Test this release beside the former one on one store, and the former one after it, as during an upgrade and a rollback.

The former release is a commit of this repository. tests/adapters/redis/test_former_release.py reads the data that it wrote.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from itertools import count
from pathlib import Path

import pytest

from tests.running_service import Paywall, Serve
from tests.store_servers import Launch, Until

ROOT = Path(__file__).parents[2]
FORMER = "5f2dcd8"

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def former_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source of the former release."""
    pytest.importorskip("authlib", reason="the former release needs Authlib, which `make check` installs")
    archive = subprocess.run(["git", "archive", FORMER], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the commit {FORMER} is not in this repository: it is a shallow clone, or an export")
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as source:
        source.extractall(folder, filter="data")
    return folder


def start_former(paywall: Paywall, source: Path, until: Until) -> Paywall:
    """Start the former release in place of this one, with the same environment."""
    env = {**paywall.env, "PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "service.cli", "serve"]
    with (paywall.folder / "log").open("ab") as log:
        paywall.process = subprocess.Popen(command, env=env, cwd=source, stdout=log, stderr=log, start_new_session=True)
    until(lambda: paywall.answers("/readyz"))
    return paywall


def is_former(paywall: Paywall) -> bool:
    return "paywall_build_info" not in paywall.get("/metrics").text


def reason(paywall: Paywall, reader: str) -> str:
    return str(paywall.ask("story", reader=reader, count=False)["reason"])


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.load)])
def test_both_releases_side_by_side(
    serve: Serve, launch: Launch, until: Until, former_source: Path, seconds: int
) -> None:
    store = launch("redis8", tcp=True)
    policy = (former_source / "tests" / "policy.toml").read_text()
    former = start_former(serve(policy, start=False, REDIS_URL=store.url), former_source, until)
    before = former.grant("before")["id"]
    former.ask("a", visitor="v")
    new = serve(policy, worker=True, REDIS_URL=store.url)

    assert (is_former(former), is_former(new)) == (True, False)
    begun = time.monotonic()
    for number in count():
        if number >= 10 and time.monotonic() > begun + seconds:
            break
        giving, other = (former, new) if number % 2 else (new, former)
        grant = giving.grant(f"r{number}")["id"]
        assert reason(other, f"r{number}") == "grant"
        other.revoke(f"r{number}", grant)
        assert reason(giving, f"r{number}") != "grant"
        giving.grant(f"kept{number}")
    kept = [f"kept{done}" for done in range(number)]
    assert reason(new, "before") == "grant"
    assert [release.ask(story, visitor="v")["meter"]["used"] for release, story in ((new, "a"), (former, "b"))] == [
        1,
        2,
    ]

    # The upgrade is complete: the former release stops, and everything that either wrote is there.
    assert former.end() == 0
    new.revoke("before", before)
    assert {reason(new, reader) for reader in kept} == {"grant"}
    until(lambda: new.command("audit", "verify").returncode == 0)

    # The rollback: the former release reads what this one wrote.
    assert new.end() == 0
    start_former(former, former_source, until)
    assert {reason(former, reader) for reader in kept} == {"grant"}
    assert reason(former, "before") != "grant"
    assert former.ask("b", visitor="v")["meter"]["used"] == 2
    former.grant("again")
    assert former.end() == 0
