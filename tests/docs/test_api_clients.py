"""Test that others can use `/openapi.json`: a linter, generated clients, and the commands of `/docs`."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.conftest import WEBHOOK_SECRET
from tests.node_packages import WANTED, NodePackages
from tests.running_service import ADMIN_KEY, SITE_KEY, Paywall
from tests.store_servers import wait_until
from tests.use_cases.takeover.sample_exports import as_of_today

SELLING = {"open_checkout", "returned", "open_portal"}
"""These ask Stripe, for which no key is set here: they may answer 503."""


@pytest.fixture(scope="module")
def description(documented: Paywall, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_text(documented.get("/openapi.json").text)
    return path


@pytest.mark.full
def test_linter_finds_no_errors_in_the_description(description: Path, node_packages: NodePackages) -> None:
    found = node_packages.run("redocly", "lint", str(description), "--format=json")
    problems = json.loads(found.stdout[found.stdout.index("{") :])
    assert [one for one in problems["problems"] if one["severity"] == "error"] == []
    assert found.returncode == 0, found.stderr


@pytest.mark.full
def test_generated_types_describe_what_a_site_sends_and_gets(
    description: Path, node_packages: NodePackages, tmp_path: Path
) -> None:
    made = node_packages.run("openapi-typescript", str(description), "--output", str(tmp_path / "api.d.ts"))
    assert made.returncode == 0, made.stderr
    shutil.copy(WANTED / "uses_types.ts", tmp_path)
    strict = ("--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--lib", "es2022,dom")
    checked = node_packages.run("tsc", *strict, "uses_types.ts", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.full
def test_generated_python_client_checks_grants_and_lists(
    description: Path, documented: Paywall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    generated = tmp_path / "paywall_client"
    options = tmp_path / "options.json"
    # The generator has no encoder for CSV, so a file is sent as bytes. It formats nothing, which takes ruff.
    options.write_text(
        json.dumps({"content_type_overrides": {"text/csv": "application/octet-stream"}, "post_hooks": []})
    )
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "openapi_python_client",
        "generate",
        "--path",
        description,
        "--meta",
        "none",
    ]
    made = subprocess.run(
        [*command, "--config", options, "--output-path", generated, "--fail-on-warning"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    api = Generated()
    with api.client(documented.url, SITE_KEY) as site, api.client(documented.url, ADMIN_KEY) as admin:
        story = {"id": "generated-client", "tier": "supporters", "parts": ["facts", "notebook"]}
        question = api.model("AccessIn", {"story": story, "reader": "r-generated"})
        locked = api.route("website.access").sync(client=site, body=question)
        assert (locked.show, locked.reason, locked.parts.to_dict()["notebook"]) == (
            "upsell",
            "no_entitlement",
            "locked",
        )
        wanted = api.model("GrantIn", {"plan": "vip", "reason": "generated client", "until": None})
        grant = api.route("grants.give_grant").sync("r-generated", client=admin, body=wanted)
        assert (grant.plan, grant.status) == ("vip", "active")
        opened = api.route("website.access").sync(client=site, body=question)
        assert (opened.show, opened.source.id) == ("full", grant.id)
        grants = api.route("grants.list_grants")  # A change is listed within two seconds.
        wait_until(lambda: [one.id for one in grants.sync(client=admin, reader="r-generated").items] == [grant.id])
        refused = api.route("website.access").sync(client=admin, body=question)
        assert (refused.status, refused.type_) == (403, "urn:paywall:problem:forbidden")


class Generated:
    """The generated package, which exists only while the test runs."""

    def client(self, url: str, key: str) -> Any:
        return importlib.import_module("paywall_client").AuthenticatedClient(base_url=url, token=key)

    def model(self, name: str, value: dict[str, Any]) -> Any:
        return getattr(importlib.import_module("paywall_client.models"), name).from_dict(value)

    def route(self, name: str) -> Any:
        return importlib.import_module(f"paywall_client.api.{name}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_service_understands_every_curl_command_of_the_docs(
    description: Path, documented: Paywall, tmp_path: Path
) -> None:
    operations = [one for path in json.loads(description.read_text())["paths"].values() for one in path.values()]
    # Their dates are those of the day when they were written.
    commands = {one["operationId"]: as_of_today(one["x-codeSamples"][0]["source"]) for one in operations}
    for one in operations:
        for file in re.findall(r"@(\w+\.csv)", commands[one["operationId"]]):
            (tmp_path / file).write_text(as_of_today(one["requestBody"]["content"]["text/csv"]["example"]))
    found: dict[str, str] = {}

    def all_are_settled() -> bool:
        """Run what is left. On a busy machine the store takes longer than the service waits, which is a 503."""
        left = {name: command for name, command in commands.items() if found.get(name, "503") == "503"}
        found.update(run_commands(left, documented, tmp_path))
        return all(status != "503" or name in SELLING for name, status in found.items())

    wait_until(all_are_settled)
    assert set(found) == set(commands)
    understood = {"200", "201", "202", "404", "409"}
    refused = {name: status for name, status in found.items() if status not in understood and name not in SELLING}
    assert refused == {}
    assert {found[name] for name in SELLING} <= {*understood, "503"}


def run_commands(commands: dict[str, str], service: Paywall, folder: Path) -> dict[str, str]:
    """Run commands in a shell, as a reader of the page does, and return their statuses."""
    lines = [f"{command} -o /dev/null -w '{name} %{{http_code}}\\n'" for name, command in commands.items()]
    variables = {
        "PAYWALL": service.url,
        "SITE_KEY": SITE_KEY,
        "ADMIN_KEY": ADMIN_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -u", *lines])],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stderr == ""
    return dict(line.split(" ") for line in done.stdout.splitlines())
