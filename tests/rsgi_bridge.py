"""Run the service's RSGI application in this process, behind a WSGI interface for Werkzeug's test client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvloop

from service.bootstrap import Service
from service.entrypoints.http.rsgi import RsgiApp
from service.entrypoints.http.rsgi_types import Headers
from service.entrypoints.http.wsgi import Web, web

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@lru_cache
def event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that runs in a thread of its own, for all tests of a process."""
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    threading.Thread(target=loop.run_forever, name="loop", daemon=True).start()
    return loop


class FakeHeaders:
    """Headers by their lower-case names."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def keys(self) -> list[str]:
        return list(self._values)

    def get(self, name: str) -> str | None:
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        return self._values.get(name, [])


class FakeScope:
    """A request as granian describes it."""

    http_version, scheme = "1.1", "http"
    authority: str | None = None
    headers: Headers

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.method = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        self.query_string = environ["QUERY_STRING"]
        self.server = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        self.client = f"{environ.get('REMOTE_ADDR', '127.0.0.1')}:40000"
        values: dict[str, list[str]] = {}
        for key, value in environ.items():
            name = key.removeprefix("HTTP_").replace("_", "-").lower()
            # An environment without a body has an empty CONTENT_TYPE; a header may be empty.
            if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value != ""):
                values[name] = [value] if value.isascii() and value.isprintable() else []
        self.headers = FakeHeaders(values)


class FakeExchange:
    """A body that is read from the environment, and an answer that is kept."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self.answer: tuple[int, list[tuple[str, str]], bytes] = (500, [], b"")

    async def __call__(self) -> bytes:
        body: bytes = self._environ["wsgi.input"].read(int(self._environ["CONTENT_LENGTH"]))
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := self._environ["wsgi.input"].read(16_384):  # as much as granian reads at first
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = status, headers, body


class Bridge:
    """A WSGI application that answers by the RSGI application of a service."""

    def __init__(self, service: Service) -> None:
        self.web: Web = web(service)
        self.web.requests_log.start(service.usage_counters.add_up)
        self._app = RsgiApp(event_loop(), service.store.link, self.web)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        exchange = FakeExchange(environ)
        asyncio.run_coroutine_threadsafe(self._app(FakeScope(environ), exchange), event_loop()).result()
        status, headers, body = exchange.answer
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def close(self) -> None:
        self._app.close()
        self.web.requests_log.close()
