"""Read whether traces are sent: by OpenTelemetry's own variables, which its packages read too."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from service.settings.validation import split_url

if TYPE_CHECKING:
    from service.settings.settings import Environment

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


def read_traces(read: Environment) -> bool:
    """Return whether traces are on: an endpoint is set, or `OTEL_TRACES_EXPORTER=otlp`. `OTEL_SDK_DISABLED` turns them off."""
    disabled = (read.one("OTEL_SDK_DISABLED") or "").lower() == "true"
    exporter = read.one("OTEL_TRACES_EXPORTER")
    named = next((name for name in _ENDPOINTS if read.given(name)), None)
    if disabled or exporter == "none" or not (exporter or named):
        return False
    if exporter not in (None, "otlp"):
        read.refuse("OTEL_TRACES_EXPORTER", "must be otlp or none: this service sends traces by OTLP only")
    for name in _ENDPOINTS:
        read.one(name, _wrong_endpoint)
    for name in _PROTOCOLS:
        read.one(name, lambda value: None if value == PROTOCOL else f"must be {PROTOCOL}, or unset")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        wrong = "needs packages that are not installed: install paywall[traces], or unset it"
        read.refuse(named or "OTEL_TRACES_EXPORTER", wrong)
    return True


def _wrong_endpoint(value: str) -> str | None:
    return None if split_url(value) else "must be an address such as http://collector:4318"
