"""`python -m demo.run_with_parent PARENT_PID MODULE …`: run a module until its parent process ends.

A process that outlives a killed demo would keep its port and folder in use.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

_CHECK_SECONDS = 0.5


def _end_with(parent: int) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), name="parent", daemon=True).start()
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
