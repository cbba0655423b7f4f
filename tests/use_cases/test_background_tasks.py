"""Test the background tasks of a web worker."""

from __future__ import annotations

from service.use_cases.background_tasks import BackgroundTasks
from tests.in_process_app import InProcessApp
from tests.store_servers import Until


def test_background_tasks_run_once_at_start(valkey_app: InProcessApp, until: Until) -> None:
    looked: list[int] = []
    care = BackgroundTasks([lambda: looked.append(valkey_app.service.prices_changed.read())], every=3_600)
    care.start()
    try:
        until(lambda: looked == [0])
    finally:
        care.stop()
