"""The worker's process, which keeps the store in step with Stripe: `paywall worker`, or a fork of `paywall serve`."""

from __future__ import annotations

import os
import signal

from service.adapters.observability.logs import configure_logs, log
from service.bootstrap import Service
from service.entrypoints.processes.lifecycle import exit_now, follow_parent, handle_shutdown_signals
from service.use_cases.background_tasks import BackgroundTasks

RECORD_EVERY = 5.0
"""Seconds between two records of what the process uses."""


def main(service: Service) -> None:
    """Work until SIGTERM. Under `paywall serve`, this ends the process."""
    configure_logs()
    service.start_worker()
    BackgroundTasks([service.metrics.processes.record], every=RECORD_EVERY).start()
    handle_shutdown_signals().on_set(service.worker.stop)
    served = bool(os.environ.get("PAYWALL_SERVED"))
    if served:
        follow_parent(signal.SIGTERM)
    log().info("worker_started")
    service.worker.run()
    if served:
        service.close()
        exit_now()
