"""Test what the processes import at their start: every module costs each start, and some memory for good."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ALL_PROCESSES = ("service.entrypoints.processes.programs",)
ACCESS_CHECK = ("service.bootstrap", "service.entrypoints.http.access_route")


def imported_by(*modules: str) -> set[str]:
    """Return the names of all modules that a new process has once it has imported these."""
    program = f"import sys, json, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("modules", "later"),
    [
        (ALL_PROCESSES, {"stripe", "requests", "joserfc", "service.adapters.openid.provider"}),
        (ALL_PROCESSES, {"service.adapters.observability.tracing", "opentelemetry.exporter"}),
        (ACCESS_CHECK, {"service.entrypoints.http.admin", "service.entrypoints.http.wsgi", "apispec"}),
        (("service.entrypoints.cli.serve",), {"service.bootstrap", "flask", "redis", "prometheus_client"}),
    ],
    ids=["what few use", "traces", "all but checks", "what the store need not wait for"],
)
def test_start_does_not_import_what_is_used_later(modules: tuple[str, ...], later: set[str]) -> None:
    assert later & imported_by(*modules) == set()
