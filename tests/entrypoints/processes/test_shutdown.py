"""Shutdown signals, at any moment and any number of times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from service.entrypoints.processes.lifecycle import ShutdownSignal

ROOT = Path(__file__).parents[3]
WAITS = """
from service.entrypoints.processes.lifecycle import handle_shutdown_signals, ignore_shutdown_signals
e = handle_shutdown_signals()
print('on', flush=True)
while not e.wait(0.0001): pass
ignore_shutdown_signals()
"""


def test_waiting_process_ends_after_repeated_signals() -> None:
    """With a lock, the handler would sooner or later wait for the one that the waiting thread holds, for ever."""
    for _ in range(20):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([sys.executable, "-c", WAITS], env=env, stdout=subprocess.PIPE) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == b"on\n"
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                waiting.send_signal(number)
            assert waiting.wait(60) == 0


def test_stop_request_during_a_signal_handler_is_safe() -> None:
    shutdown, done = ShutdownSignal(), threading.Event()
    shutdown.on_set(done.set)
    assert not shutdown.is_set()
    assert not shutdown.wait(0.01)
    for _ in range(100_000):  # more than a pipe holds
        shutdown.set()
    assert shutdown.is_set()
    assert shutdown.wait()
    assert done.wait(60)
