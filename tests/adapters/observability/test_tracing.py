"""Test that the traces end within their time, whatever the collector does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

CODE = """
import time
from service.adapters.observability.tracing import Tracing
tracing = Tracing()
with tracing.request(None):
    tracing.describe_request("/v1/access", "POST", 200, {})
begun = time.monotonic()
tracing.close()
print(time.monotonic() - begun)
"""


def test_close_waits_two_seconds_for_a_collector_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
        }
        done = subprocess.run(
            [sys.executable, "-c", CODE], env=env, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert 1 < float(done.stdout) < 15  # Without a limit of our own, the SDK waits for 30 seconds.
