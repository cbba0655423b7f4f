"""Test unexpected errors: a problem document, one log line, and no request data in either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response

from service.adapters.observability.metrics import Metrics
from service.adapters.redis.client.keys import reader_hash
from service.entrypoints.http import errors

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp
    from tests.store_servers import Until

SENT = "reader-in-the-message"


@pytest.mark.parametrize("hot", [True, False])
def test_crash_is_reported_and_logged_without_request_data(
    valkey_app: InProcessApp, capfd: pytest.CaptureFixture[str], until: Until, hot: bool
) -> None:
    key = valkey_app.service.store.keys.reader(reader_hash(SENT))
    valkey_app.service.store.link.call(key, b"HSET", key, b"g:x", SENT.encode())
    said = ""

    def logged() -> bool:
        nonlocal said
        answer = valkey_app.call("POST", "/v1/access", {"story": {"id": "a"}, "reader": SENT}, hot=hot)
        assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
        assert SENT not in answer.text
        said += "".join(capfd.readouterr())
        return '"crash"' in said or "crash " in said

    until(logged)  # The capture loses what another thread writes while it is read.
    assert SENT not in said


def test_failing_error_handler_is_logged_without_its_message(
    valkey_app: InProcessApp, capfd: pytest.CaptureFixture[str]
) -> None:
    found: Any = valkey_app.client.application
    try:
        raise ValueError(SENT)
    except ValueError as error:
        found.web.flask.log_exception((ValueError, error, error.__traceback__))
    said = "".join(capfd.readouterr())
    assert "ValueError" in said
    assert SENT not in said


def test_crash_after_the_view_is_counted() -> None:
    app, metrics = Flask("crashing"), Metrics()
    errors.register(app, lambda problem: Response(status=problem.status), {500: "failed"}, metrics)

    @app.after_request
    def crash(_: Response) -> Response:
        raise ValueError(SENT)

    assert app.test_client().get("/").status_code == 500
    assert metrics.registry.get_sample_value("paywall_crashes_total") == 1
