"""What the forks of `paywall serve` run, built once before them: they share its memory, and start without building anything.

Benchmarks run the module, which is the web server alone, around `REDIS_URL`.
"""

from __future__ import annotations

import os

from service.bootstrap import Service, build
from service.entrypoints.http.wsgi import Web, web
from service.entrypoints.processes import web_server, worker
from service.settings.settings import Settings, load_settings


class Programs:
    """The web server and the worker around the store at `store_url`; nothing connects and no thread starts before they run."""

    def __init__(self, settings: Settings, store_url: str) -> None:
        self._service = build(settings, store_url, traced=True)
        self._service.secrets.derive()
        self._routes = _routes(self._service)

    def run_web(self) -> None:
        """Run the web server until SIGTERM, and end this process."""
        web_server.main(self._service, self._routes)

    def run_worker(self) -> None:
        """Run the worker until SIGTERM, and end this process."""
        worker.main(self._service)


def _routes(service: Service) -> Web:
    if service.tracing is None:
        return web(service)
    from service.entrypoints.http.traced_requests import TracedRequestLog  # It imports OpenTelemetry.

    return web(service, TracedRequestLog(service.metrics, service.tracing))


if __name__ == "__main__":
    Programs(load_settings(os.environ), os.environ["REDIS_URL"]).run_web()
