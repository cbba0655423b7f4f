"""Test that the threads of a process allocate from one heap: each further one would take memory in every process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, threading
from service.entrypoints.processes.lifecycle import use_one_heap

use_one_heap()
threads = [threading.Thread(target=bytes, args=(100_000,)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()  # It writes to standard error.
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
def test_threads_allocate_from_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.count("Arena ") == 1
