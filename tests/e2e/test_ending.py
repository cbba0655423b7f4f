"""The call to end, at any moment and as often as it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from service.entrypoints.processes.shutdown import Ending

ROOT = Path(__file__).parents[2]
WAITS = """
from service.entrypoints.processes.shutdown import done, heard
e = heard()
print('on', flush=True)
while not e.wait(0.0001): pass
done()
"""


def test_waiting_process_ends_after_repeated_signals() -> None:
    """A lock that whoever waits holds would be taken by the handler, sooner or later: and then nothing ends it."""
    for _ in range(20):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen([sys.executable, "-c", WAITS], env=env, stdout=subprocess.PIPE) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == b"on\n"
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                waiting.send_signal(number)
            assert waiting.wait(60) == 0


def test_stop_request_during_a_signal_handler_is_safe() -> None:
    ending, done = Ending(), threading.Event()
    ending.then(done.set)
    assert not ending.is_set()
    assert not ending.wait(0.01)
    for _ in range(100_000):  # more than a pipe holds
        ending.set()
    assert ending.is_set()
    assert ending.wait()
    assert done.wait(60)
