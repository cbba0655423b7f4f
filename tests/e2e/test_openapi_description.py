"""Test the API against `/openapi.json`: valid and invalid requests get no 5xx and only described answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.test import Client

from service.bootstrap import build
from service.entrypoints.http.wsgi import web
from service.settings.settings import load_settings

if TYPE_CHECKING:
    from tests.running_service import Paywall

SELLING = {"/v1/checkout", "/v1/checkout/returned", "/v1/portal"}
"""These ask Stripe, for which no key is set here: they may say 503, which the description says too."""
CHECKS: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def described() -> dict[str, Any]:
    """Return the description without a running service, since pytest needs the operations at collection."""
    settings_ = load_settings({"PAYWALL_CONFIG": str(Path(__file__).parents[2] / "config")})
    app = web(build(settings_, "redis://127.0.0.1:1")).flask
    found: dict[str, Any] = Client(app).get("/openapi.json").get_json()
    return found


DESCRIPTION = described()
PATHS: dict[str, Any] = DESCRIPTION["paths"]
schema = schemathesis.openapi.from_dict(DESCRIPTION)


@pytest.mark.parametrize("path", [path for path, found in PATHS.items() if "get" in found])
def test_csv_answer_is_in_the_openapi_description(path: str, paywall: Paywall) -> None:
    answer = paywall.get(path, headers={"Accept": "text/csv"})
    found = PATHS[path]["get"]["responses"][str(answer.status_code)]
    found = DESCRIPTION["components"]["responses"].get(found.get("$ref", "").rpartition("/")[2], found)
    assert answer.headers["Content-Type"].partition(";")[0] in found["content"]


@schema.parametrize()
@settings(
    max_examples=settings().max_examples // 10,  # Not 100: schemathesis takes that for "not set".
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_matches_the_openapi_description(case: Any, paywall: Paywall) -> None:
    """Send a case with the right key and check its answer against the description."""
    schemes = [name for scheme in case.operation.definition.raw["security"] for name in scheme]
    headers = paywall.as_site if "site_key" in schemes else paywall.as_admin if "admin_key" in schemes else {}
    answer = case.call(base_url=paywall.url, headers=headers, timeout=60)
    assert answer.status_code < 500 or (answer.status_code == 503 and case.path in SELLING), answer.text
    case.validate_response(answer, checks=CHECKS)
