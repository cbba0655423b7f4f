"""Put each request into a span. These classes take the place of others while traces are on."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from service.adapters.observability.metrics import Metrics
from service.adapters.observability.tracing import Tracing
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.traced_link import TracedAccess
from service.entrypoints.http.request_log import METHODS, RequestLog
from service.entrypoints.http.rsgi import RsgiApp
from service.entrypoints.http.rsgi_types import Exchange, Scope
from service.entrypoints.http.wsgi import Web

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class TracedRsgiApp(RsgiApp):
    """Answers each request within a span, which `TracedRequestLog` completes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: Link, web: Web, tracing: Tracing) -> None:
        super().__init__(loop, link, web, ContextThreads)
        self._tracing = tracing
        self._store = TracedAccess(self._store, tracing.store_call)

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        with self._tracing.request(scope.headers.get("traceparent")):
            await super().__call__(scope, exchange)


class ContextThreads(ThreadPoolExecutor):
    """Threads in which the span of whoever submits work is the current one."""

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Run a function in a thread, within the caller's context."""
        return super().submit(partial(contextvars.copy_context().run, fn, *args, **kwargs))


class TracedRequestLog(RequestLog):
    """Also completes the span of each request, and names its trace in the line."""

    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        super().__init__(metrics)
        self._tracing = tracing

    def end(
        self, begun: float, route: str, method: str, status: int, given: str | None, **more: str | bool | None
    ) -> str:
        trace_id = self._tracing.describe_request(route, method if method in METHODS else "other", status, more)
        return super().end(begun, route, method, status, given, **more, trace_id=trace_id)
