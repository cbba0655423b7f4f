"""Test `paywall providers`: a snapshot from a file, its dry run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import Paywall

BAD = "id,reader,plan,until\n1,r-1,suporter,soon\n"


@pytest.fixture
def file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "print.csv"
    path.write_text("\ufeffid;reader;plan;until\r\n" + "".join(f"{name}-{n};{name}-{n};vip;\r\n" for n in range(3)))
    return path


def snapshot(paywall: Paywall, *arguments: str, status: int = 0) -> Any:
    done = paywall.command("providers", "snapshot", "print", *arguments)
    assert done.returncode == status, done.stderr
    return done


def test_snapshot_command_takes_a_file_and_refuses_one_that_shrank(paywall: Paywall, file: Path, name: str) -> None:
    assert json.loads(snapshot(paywall, str(file), "--force", "--json").stdout)["new"] == 3
    file.write_text(f"id,reader,plan,until\n{name}-0,{name}-0,vip,\n")
    assert "would end 2 of the 3" in snapshot(paywall, str(file), "--dry-run", status=1).stdout
    assert "would end 2 of the 3" in snapshot(paywall, str(file), status=1).stderr
    assert paywall.get(f"/v1/readers/{name}-2").json()["access"]
    done = snapshot(paywall, str(file), "--force").stdout
    assert "is done: 1 rows, 0 new, 0 changed, 2 ended, 1 unchanged" in done
    assert not paywall.get(f"/v1/readers/{name}-2").json()["access"]
    file.write_text(BAD)
    assert "line 2, plan: there is no plan 'suporter'" in snapshot(paywall, str(file), status=1).stderr
