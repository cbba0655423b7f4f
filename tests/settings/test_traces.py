"""Test which variables turn traces on, and that a wrong one stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings.settings import load_settings
from service.settings.validation import SettingsError

CONFIG = str(Path(__file__).parents[2] / "config")


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SERVICE_NAME": "paywall"}, False),
    ],
)
def test_an_endpoint_or_the_exporter_turns_traces_on(env: dict[str, str], on: bool) -> None:
    assert load_settings({"PAYWALL_CONFIG": CONFIG, **env}).traces is on


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no-scheme.example:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ],
)
def test_wrong_variable_stops_the_start_and_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"PAYWALL_CONFIG": CONFIG, "OTEL_TRACES_EXPORTER": "otlp", variable: value})
    assert variable in str(error.value)
    assert value not in str(error.value)
