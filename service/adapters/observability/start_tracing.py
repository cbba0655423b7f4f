"""Start the traces of a process, if they are on: only then is OpenTelemetry imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.adapters.observability.tracing import Tracing


def start_tracing(*, enabled: bool) -> Tracing | None:
    """Return the traces of this process, which reads the `OTEL_*` variables now; `None` if they are off."""
    if not enabled:
        return None
    from service.adapters.observability.tracing import Tracing

    return Tracing()
