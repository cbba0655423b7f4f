"""Test which threads answer a request: what waits for others must not hold up everything else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from werkzeug.test import EnvironBuilder

from service.entrypoints.http.rsgi import RsgiApp
from service.entrypoints.http.wsgi import web
from tests.rsgi_bridge import FakeExchange, FakeScope, event_loop

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp


class RecordedThreads(ThreadPoolExecutor):
    """Threads that record the name of their pool whenever they get work."""

    used: ClassVar[list[str]] = []

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._name = name

    def submit(self, *given: Any, **more: Any) -> Any:
        self.used.append(self._name)
        return super().submit(*given, **more)


@pytest.mark.parametrize(
    ("path", "pool"),
    [
        ("/admin/sign-in/begin", "sign-in"),
        ("/admin/sign-in/return", "sign-in"),
        ("/admin/sign-in", "request"),
        ("/v1/readers/r", "request"),
        ("/v1/access", "check"),
        ("/healthz", "probe"),
        ("/readyz", "probe"),
    ],
)
def test_sign_ins_checks_and_probes_have_threads_of_their_own(valkey_app: InProcessApp, path: str, pool: str) -> None:
    app = RsgiApp(event_loop(), valkey_app.service.store.link, web(valkey_app.service), RecordedThreads)
    RecordedThreads.used.clear()
    environ = EnvironBuilder(path).get_environ()
    try:
        answer = app(FakeScope(environ), FakeExchange(environ))
        asyncio.run_coroutine_threadsafe(answer, event_loop()).result(60)
    finally:
        app.close()
    assert RecordedThreads.used == [pool]
