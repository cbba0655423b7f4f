"""`python -m demo.run_with_parent PARENT MODULE …`: runs a module as a part of the demo, which ends with it.

However the demo ends, also killed: a part that outlived it would hold its port and its folder.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

_LOOK_EVERY = 0.5


def _follow(parent: int) -> None:
    gone = threading.Event()
    while os.getppid() == parent:
        gone.wait(_LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow, args=(int(sys.argv[1]),), name="parent", daemon=True).start()
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
