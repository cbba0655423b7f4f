"""Test `paywall backup` and `paywall restore`."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from stripe_lookalike import RunningLookalike
from tests.running_service import Paywall, Serve
from tests.store_servers import wait_until
from tests.stripe_fixtures import Buy

pytestmark = pytest.mark.full


@pytest.fixture
def used(serve: Serve) -> Paywall:
    paywall = serve()
    paywall.grant("r-1")
    paywall.ask("s-1", reader="r-2")
    return paywall


def backup(paywall: Paywall, file: Path) -> dict[str, object]:
    done = paywall.command("backup", str(file), "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_restore_into_an_empty_store_while_the_old_one_runs(used: Paywall, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "b"
    found = backup(used, file)
    assert found["keys"]
    other = serve(start=False)
    done = other.command("restore", str(file))
    assert done.returncode == 0, done.stderr
    other.start()
    for reader in ("r-1", "r-2"):
        assert other.reader(reader) == used.reader(reader)
    assert other.get("/v1/audit").json()["items"][1:] == used.get("/v1/audit").json()["items"]
    assert other.command("audit", "verify").returncode == 0


def test_existing_file_is_replaced_only_with_force(used: Paywall, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_text("another file")
    refused = used.command("backup", str(file))
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)
    assert file.read_text() == "another file"
    assert used.command("backup", "--force", str(file)).returncode == 0
    assert file.read_bytes().startswith(b"paywall-backup")


def test_restore_into_a_running_service_is_refused(used: Paywall, tmp_path: Path) -> None:
    backup(used, tmp_path / "b")
    done = used.command("restore", str(tmp_path / "b"), "--replace")
    assert (done.returncode, "running `paywall serve`" in done.stderr) == (1, True)
    assert used.reader("r-1")["access"]


def test_restore_over_existing_data_needs_replace(used: Paywall, tmp_path: Path) -> None:
    file = tmp_path / "b"
    backup(used, file)
    used.grant("r-9")
    assert used.end(signal.SIGTERM) == 0
    refused = used.command("restore", str(file))
    assert (refused.returncode, "--replace" in refused.stderr) == (1, True)
    used.start()
    assert used.reader("r-9")["access"], "nothing was written"
    used.end(signal.SIGKILL, group=True)
    done = used.command("restore", str(file), "--replace", "--json")
    assert (done.returncode, json.loads(done.stdout)["prefix"]) == (0, "pw"), done.stderr
    used.start()
    assert [used.reader(reader)["access"] for reader in ("r-1", "r-9")] == [True, False]


def test_last_nights_backup_is_restored_into_a_running_life(
    serve: Serve, lookalike: RunningLookalike, day_pass: Buy, tmp_path: Path
) -> None:
    """What was granted and revoked since is gone, and the command says so; what Stripe knows comes back by itself."""
    file = tmp_path / "b"
    paywall = serve(worker=True, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE=lookalike.url)
    grant = paywall.grant("r-early")["id"]
    day_pass(reader_id="r-paid-early")
    assert paywall.command("reconcile", "--catch-up").returncode == 0
    assert paywall.reader("r-paid-early")["access"]
    backup(paywall, file)
    paywall.revoke("r-early", grant)
    paywall.grant("r-late")
    day_pass(reader_id="r-paid-late")
    assert paywall.command("reconcile", "--catch-up").returncode == 0
    assert paywall.reader("r-paid-late")["access"]
    head = paywall.get("/v1/audit").json()["items"][0]
    assert paywall.end() == 0
    done = paywall.command("restore", str(file), "--replace")
    assert done.returncode == 0, done.stderr
    assert "Every change since that time is gone, and must be made again: grants, revocations" in done.stdout
    assert "catches up with Stripe" in done.stdout
    paywall.start()
    wait_until(lambda: paywall.reader("r-paid-late")["access"])
    found = {name: paywall.reader(name)["access"] for name in ("r-early", "r-paid-early", "r-late")}
    assert found == {"r-early": True, "r-paid-early": True, "r-late": False}
    newest = paywall.get("/v1/audit").json()["items"][0]
    assert (newest["action"], newest["reader"]) == ("restore", None)
    assert newest["actor"].startswith("cli:")
    assert newest["before"] == {"head": f"{head['seq']}:{head['hash']}"}
    verified = paywall.command("audit", "verify")
    assert verified.returncode == 0, verified.stdout


def test_backup_says_which_keys_it_leaves_out(serve: Serve, valkey_url: str, tmp_path: Path) -> None:
    ours = serve(REDIS_URL=valkey_url)
    theirs = serve(REDIS_URL=valkey_url, PAYWALL_PREFIX="pw:b")
    theirs.grant("r-1")
    found = ours.command("backup", str(tmp_path / "b"), "--json")
    left_out = json.loads(found.stdout)["left_out"]
    assert left_out["other_titles"]["pw:b"] > 3
    restored = serve(start=False).command("restore", str(tmp_path / "b"), "--json")
    assert json.loads(restored.stdout)["left_out"] == left_out
    text = ours.command("backup", str(tmp_path / "c")).stdout
    assert "of another title (pw:b)" in text


@pytest.mark.parametrize("damage", ["cut", "changed", "none"])
def test_damaged_backup_is_refused_and_nothing_is_written(
    used: Paywall, serve: Serve, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "b"
    backup(used, file)
    content = file.read_bytes()
    changed = content.replace(content[200:210], b"AAAAAAAAAA", 1)
    file.write_bytes({"cut": content[:-100], "changed": changed, "none": b"hello\n"}[damage])
    other = serve(start=False)
    done = other.command("restore", str(file), "--replace")
    assert (done.returncode, "Traceback" in done.stderr, str(file) in done.stderr) == (1, False, True)
    other.start()
    assert not other.reader("r-1")["access"]


def test_backup_and_restore_without_secrets_name_the_variable(serve: Serve, tmp_path: Path) -> None:
    paywall = serve(start=False, PAYWALL_SECRETS="")
    for command in (["backup", str(tmp_path / "b")], ["restore", __file__]):
        done = paywall.command(*command)
        assert (done.returncode, "PAYWALL_SECRETS" in done.stderr) == (1, True)
    assert not (tmp_path / "b").exists()


def test_backup_and_restore_work_on_an_external_store(
    serve: Serve, valkey_url: str, redis8_url: str, tmp_path: Path
) -> None:
    paywall = serve(REDIS_URL=valkey_url, worker=True)
    paywall.grant("r-1")
    backup(paywall, tmp_path / "b")
    other = serve(start=False, REDIS_URL=redis8_url)
    done = other.command("restore", str(tmp_path / "b"))
    assert done.returncode == 0, done.stderr
    other.start()
    assert other.reader("r-1")["access"]
    # With another folder and the same store, the leading worker blocks the restore.
    elsewhere = serve(start=False, REDIS_URL=valkey_url)
    refused = elsewhere.command("restore", str(tmp_path / "b"), "--replace")
    assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
    assert paywall.reader("r-1")["access"]


def test_unwritable_or_unreadable_file_gives_no_traceback(used: Paywall, tmp_path: Path) -> None:
    done = used.command("backup", str(tmp_path / "none" / "b"))
    assert (done.returncode, "cannot be written" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert used.command("restore", str(tmp_path / "none")).returncode == 2


def test_backup_does_not_replace_a_device(used: Paywall, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = used.command("backup", str(pipe))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{pipe}: cannot be written: it exists, and is not a regular file\n"
    assert pipe.is_fifo()
