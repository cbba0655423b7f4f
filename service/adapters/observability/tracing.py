"""OpenTelemetry traces, sent by OTLP over HTTP: a span for each request, with the calls to the store and to Stripe inside.

It is imported only if traces are on. The standard `OTEL_*` variables configure the exporter, its batches and the sampler.
No attribute holds an ID, a path, a query string or a message of an exception: each could name a reader.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.adapters.stripe.observation import Observe, StripeRequest

CLOSE_WITHIN = 2.0
"""Seconds for the last spans: the service ends within ten, also if the collector hangs."""

_FROM_CALLER = TraceContextTextMapPropagator()


class Tracing:
    """The traces of one process. The first span starts the thread that sends them, so there must be none before a fork."""

    @cached_property
    def _provider(self) -> TracerProvider:
        own = Resource({"service.name": "paywall", "service.version": version("paywall")})
        resource = Resource.create().merge(own).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return provider

    @cached_property
    def _tracer(self) -> Tracer:
        return self._provider.get_tracer("paywall")

    def start(self) -> None:
        """Read the `OTEL_*` variables now, and not at the first span. Call it after any fork."""
        _ = self._tracer

    def close(self) -> None:
        """Send the spans that have ended; drop them if that takes too long."""
        sending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        sending.start()
        sending.join(CLOSE_WITHIN)

    @contextmanager
    def request(self, traceparent: str | None) -> Iterator[None]:
        """Put a request into a span. It continues the caller's trace if `traceparent` (W3C Trace Context) names one."""
        caller = _FROM_CALLER.extract({"traceparent": traceparent} if traceparent else {}, Context())
        with self._tracer.start_as_current_span("request", caller, SpanKind.SERVER, record_exception=False):
            yield

    def describe_request(self, route: str, method: str, status: int, more: Mapping[str, str | bool | None]) -> str:
        """Complete the span of this request, and return the trace's ID. `more` has `show` and `reason` of an access check."""
        span = trace.get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        for name, value in more.items():
            if value is not None:
                span.set_attribute(f"paywall.{name}", value)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        return trace.format_trace_id(span.get_span_context().trace_id)

    @contextmanager
    def store_call(self, name: str, count: int) -> Iterator[None]:
        """Put a round trip to the store into a span. `name` is a command or a script, `count` how many are sent at once."""
        attributes = {"db.system.name": "redis", "db.operation.name": name, "db.operation.batch.size": count}
        with self._client_span(name, attributes):
            yield

    def around_stripe(self, observe: Observe) -> Observe:
        """Return an observer of requests to Stripe that also puts each into a span."""

        @contextmanager
        def observed(method: str, template: str) -> Iterator[StripeRequest]:
            attributes = {"http.request.method": method, "url.template": template, "peer.service": "stripe"}
            with self._client_span(f"{method} {template}", attributes) as span, observe(method, template) as request:
                try:
                    yield request
                finally:
                    if request.status is not None:
                        span.set_attribute("http.response.status_code", request.status)

        return observed

    @contextmanager
    def job(self, cause: str, name: str) -> Iterator[None]:
        """Put the processing of a Stripe object into a span; `name` is the object's, of which only the kind is kept."""
        attributes = {"paywall.cause": cause, "paywall.object": name.partition(":")[0]}
        with self._span("process stripe object", SpanKind.INTERNAL, attributes):
            yield

    @contextmanager
    def _client_span(self, name: str, attributes: Mapping[str, Any]) -> Iterator[Span]:
        """A span within that of a request or a job. Outside of them there is none: a probe has no trace."""
        current = trace.get_current_span()
        if current.is_recording():
            with self._span(name, SpanKind.CLIENT, attributes) as span:
                yield span
        else:
            yield current

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise
