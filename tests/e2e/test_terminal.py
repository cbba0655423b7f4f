"""Test what `paywall serve` prints on a terminal: its addresses, what is missing, and a log for people."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

from tests.running_service import Serve
from tests.store_servers import wait_until


def test_serve_on_a_terminal_prints_addresses_and_what_is_missing(serve: Serve) -> None:
    alone = serve(start=False)
    env = {**alone.env, "PAYWALL_SITE_KEYS": ""}
    head, tail = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.entrypoints.cli", "serve"], env=env, stdin=tail, stdout=tail, stderr=tail
    )
    os.close(tail)
    os.set_blocking(head, False)
    shown: list[bytes] = []

    def read() -> str:
        with suppress(OSError):  # There is nothing to read yet, or no terminal any more.
            shown.append(os.read(head, 65_536))
        return b"".join(shown).decode()

    try:
        # The worker and the web server start side by side, so that either can be the first to print.
        wait_until(
            lambda: {"worker_started", f"{alone.url}/admin/"} <= set(read().split()) or process.poll() is not None, 60
        )
    finally:
        process.terminate()
        wait_until(lambda: read() is not None and process.poll() is not None, 20)
    text = read()
    os.close(head)
    assert f"{alone.url}/admin/" in text
    assert "PAYWALL_SITE_KEYS is not set" in text
    assert "STRIPE_API_KEY is not set" in text
    assert re.search(r"^\d\d:\d\d:\d\d worker_started", text, re.MULTILINE)
    assert '"event"' not in text
