"""Test the scripts of the guides for print subscribers and app stores, and that the pages show the files that run here."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import ADMIN_KEY, Paywall
from tests.store_servers import wait_until

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
SEND, REPORT = GUIDES / "print-subscribers" / "send.py", GUIDES / "app-stores" / "report.py"


@pytest.mark.parametrize("script", [SEND, REPORT], ids=["send", "report"])
def test_page_shows_the_script_which_is_short(script: Path) -> None:
    page = script.parent.with_suffix(".md").read_text()
    text = script.read_text()
    assert "\n".join(line.strip() for line in text.splitlines()) in "\n".join(
        line.strip() for line in page.splitlines()
    )
    assert len(text.splitlines()) <= 30


def holds(paywall: Paywall, reader: str) -> list[tuple[str, str, str | None]]:
    sources = paywall.get(f"/v1/readers/{reader}").json()["sources"]
    return [(one["id"].partition(":")[0], one["status"], one["until"]) for one in sources]


def test_script_for_print_sends_whom_it_can_name(paywall: Paywall, tmp_path: Path, name: str) -> None:
    def send(*lines: str) -> subprocess.CompletedProcess[str]:
        export = tmp_path / "export.csv"
        export.write_text("\ufeff" + "\r\n".join(["number;reader;product;paid_until", *lines]))
        env = {**os.environ, "PAYWALL": paywall.url, "ADMIN_KEY": ADMIN_KEY}
        command = [sys.executable, str(SEND), str(export)]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    running = [f"{name}-{number};{name}-{number};DAILY;" for number in range(3)]
    paywall.session.put(  # What other tests have sent ends.
        f"{paywall.url}/v1/providers/print/snapshot?force=true",
        data="id,reader,plan,until\n",
        headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
        timeout=60,
    )
    sent = send(*running, f"{name}-x;;DAILY;2099-06-30", f"{name}-w;{name}-w;WEEKEND;2099-06-30")
    assert json.loads(sent.stdout)["new"] == 4, sent.stderr
    wait_until(lambda: holds(paywall, f"{name}-w") == [("print", "active", "2099-07-01T04:00:00Z")])
    assert paywall.get(f"/v1/readers/{name}-1").json()["access"]
    refused = send(running[0])
    assert (refused.returncode, "would end 3 of the 4" in refused.stderr) == (1, True)


def test_script_for_app_stores_follows_refunds_and_grace(
    paywall: Paywall, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYWALL", paywall.url)
    monkeypatch.setenv("ADMIN_KEY", ADMIN_KEY)
    script: dict[str, Any] = runpy.run_path(str(REPORT))
    ends, later = 4_070_908_800_000, "2099-01-08T00:00:00Z"
    transaction = {"expiresDate": ends, "originalTransactionId": name, "appAccountToken": name}
    transaction["productId"] = "supporter.monthly"
    script["report_apple"](2, transaction, {})  # Its purchase was never reported.
    assert holds(paywall, name) == []
    for _ in range(2):
        script["report_apple"](1, transaction, {})
    assert holds(paywall, name) == [("appstore", "active", "2099-01-01T00:00:00Z")]
    script["report_apple"](4, transaction, {"gracePeriodExpiresDate": ends + 7 * 86_400_000})
    assert holds(paywall, name) == [("appstore", "active", later)]
    script["report_apple"](5, transaction, {})
    assert [status for _, status, _ in holds(paywall, name)] == ["ended"]
    account = {"obfuscatedExternalAccountId": f"{name}-g"}
    purchase = {
        "externalAccountIdentifiers": account,
        "lineItems": [{"productId": "supporter.yearly", "expiryTime": later}],
    }
    for state, expected in (("ACTIVE", "active"), ("CANCELED", "active"), ("ON_HOLD", "ended"), ("ACTIVE", "active")):
        script["report_google"](f"GPA.{name}", {**purchase, "subscriptionState": f"SUBSCRIPTION_STATE_{state}"})
        assert [status for _, status, _ in holds(paywall, f"{name}-g")] == [expected]
    records = paywall.get(f"/v1/audit?reader={name}").json()["items"]
    assert [record["action"] for record in records] == ["external.end", "external.put", "external.put"]
