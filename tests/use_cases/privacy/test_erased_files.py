"""Test that no file contains an erased ID, and that the command does what the route does."""

from __future__ import annotations

import json

import pytest

from tests.running_service import Paywall, Serve
from tests.store_servers import wait_until

ZOE = "zoe-7f31"


def files_with(paywall: Paywall, word: str) -> list[str]:
    found = [path for path in paywall.data.rglob("*") if path.is_file()]
    return [str(path) for path in found if word.encode() in path.read_bytes()]


@pytest.mark.full
def test_no_file_contains_the_erased_id_after_the_rewrite(serve: Serve) -> None:
    paywall = serve()
    paywall.grant(ZOE, reason=f"for {ZOE}")
    paywall.post(f"/v1/readers/{ZOE}/links", {"subscription": "sub_1"}, paywall.admin)
    paywall.ask("s-1", reader=ZOE)
    assert files_with(paywall, ZOE)
    done = paywall.command("readers", "erase", ZOE, "--reason", "they asked", "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert (body["erased"]["sources"], body["files_rewritten"]) == (1, True)
    wait_until(lambda: not files_with(paywall, ZOE))  # The store deletes old files a moment after the rewrite.
    assert not paywall.reader(ZOE)["access"]
    assert ZOE not in paywall.log
    again = paywall.command("readers", "export", ZOE)
    assert (again.returncode, json.loads(again.stdout)["sources"]) == (0, [])
    assert paywall.command("readers", "erase", ZOE).returncode == 2
    assert paywall.command("audit", "verify").returncode == 0


@pytest.mark.full
def test_erase_command_alone_waits_for_the_file_rewrite(serve: Serve) -> None:
    paywall = serve(start=False)
    given = paywall.command("grants", "add", "--reader", ZOE, "--plan", "vip", "--reason", f"for {ZOE}", "--no-end")
    assert given.returncode == 0, given.stderr
    done = paywall.command("readers", "erase", ZOE, "--reason", "they asked", "--json")
    assert json.loads(done.stdout)["files_rewritten"] is True
    assert files_with(paywall, ZOE) == []
