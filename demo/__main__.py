"""`python -m demo [--json]`, which `paywall demo` runs."""

from __future__ import annotations

import os
import sys

from demo import run
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.entrypoints.cli import session
from service.entrypoints.processes.listening import CannotServe

if __name__ == "__main__":
    settings = session.settings()
    configure_logs(command=True)
    try:
        sys.exit(run.run(settings, dict(os.environ), as_json="--json" in sys.argv[1:]))
    except (CannotServe, EmbeddedStoreError) as error:
        session.fail(str(error))
