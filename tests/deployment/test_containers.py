"""Test the Dockerfile, the Compose file and the manifests for Kubernetes.

Containers are hardened, the store has a password, and the image is built from hashed packages.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from service.adapters.redis.embedded.valkey import server_binary
from service.use_cases.operations.store_advisories import known_vulnerabilities
from tests.store_servers import Until, free_port

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MANIFESTS: list[dict[str, Any]] = [
    manifest
    for file in sorted((ROOT / "config" / "kubernetes").iterdir())
    for manifest in yaml.safe_load_all(file.read_text())
]
PODS: dict[str, dict[str, Any]] = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if manifest["kind"] in ("Deployment", "StatefulSet")
}
STORE_COMMANDS = {
    "compose": [
        part.replace("$$", "$").replace("${PAYWALL_STORE_MEMORY:-512mb}", "512mb")
        for part in SERVICES["store"]["command"]
    ],
    "kubernetes": PODS["paywall-store"]["containers"][0]["command"],
}
SECRETS = dict.fromkeys(("PAYWALL_STORE_PASSWORD", "PAYWALL_SITE_KEYS", "PAYWALL_ADMIN_KEYS"), "x" * 40) | {
    "PAYWALL_SECRETS": "s" * 40
}


@pytest.mark.parametrize("name", SERVICES)
def test_container_writes_nowhere_and_has_no_capability(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert all("noexec" in mount for mount in service["tmpfs"])


def test_only_the_web_server_has_a_port_and_the_store_no_way_out() -> None:
    assert {name: service.get("ports", []) for name, service in SERVICES.items()} == {
        "store": [],
        "paywall": ["127.0.0.1:8000:8000"],
        "worker": [],
    }
    assert SERVICES["store"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


STORE_IMAGES = [SERVICES["store"]["image"], PODS["paywall-store"]["containers"][0]["image"]]


def test_base_images_are_pinned_by_the_same_digest_everywhere() -> None:
    (built,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    compose = [SERVICES[name]["build"]["args"]["PYTHON_IMAGE"] for name in ("paywall", "worker")]
    for images in ([built, *compose], STORE_IMAGES):
        digests = {tuple(re.findall(r"@sha256:([0-9a-f]{64})\b", image)) for image in images}
        assert [len(found) for found in digests] == [1], images


@pytest.mark.parametrize("image", STORE_IMAGES)
def test_store_image_has_no_known_vulnerability(image: str) -> None:
    (version,) = re.findall(r"valkey/valkey:([\d.]+)-alpine", image)
    assert version.startswith("9.1.")
    assert known_vulnerabilities("valkey", version) == []


@pytest.mark.parametrize("command", STORE_COMMANDS.values(), ids=STORE_COMMANDS)
def test_store_starts_with_its_password(command: list[str], short_folder: Path, until: Until) -> None:
    """The command runs here, with other paths and a port."""
    port, password = free_port(), "geheim0123456789"
    folder = short_folder / str(port)
    folder.mkdir()
    shell, option, script = command
    for there, here in (
        ("exec valkey-server", f"exec {server_binary()}"),
        ("/etc/valkey", str(ROOT / "config")),
        ("--dir /data", f"--dir {folder} --port {port}"),
        ("0.0.0.0", "127.0.0.1"),
    ):
        assert there in script
        script = script.replace(there, here)
    env = {"VALKEY_PASSWORD": password, "PATH": "/usr/bin:/bin"}
    with (folder / "log").open("wb") as log:
        store = subprocess.Popen([shell, option, script], env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        with redis.Redis(port=port, password=password) as known, redis.Redis(port=port) as stranger:

            def answers() -> bool:
                try:
                    return bool(known.ping())
                except redis.ConnectionError:
                    return False

            until(answers)
            assert known.config_get("appendfsync") == {"appendfsync": "always"}
            assert int(known.config_get("maxmemory")["maxmemory"]) >= 512 * 1024 * 1024
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
            assert password not in Path(f"/proc/{store.pid}/cmdline").read_text()
    finally:
        os.killpg(store.pid, signal.SIGKILL)  # the shell, and the store that it pipes the settings to
        store.wait()


def test_service_connects_with_the_password_of_the_store() -> None:
    for name in ("paywall", "worker"):
        assert SERVICES[name]["environment"]["REDIS_URL"] == "redis://:${PAYWALL_STORE_PASSWORD}@store:6379/0"
    assert SERVICES["store"]["environment"]["VALKEY_PASSWORD"].startswith("${PAYWALL_STORE_PASSWORD:?")


@pytest.mark.full
def test_compose_file_is_valid() -> None:
    """Docker reads it, where its Compose is installed, and refuses it without a secret."""
    commands = [["docker", "compose"], ["docker-compose"]]
    found = [command for command in commands if shutil.which(command[0]) and _runs([*command, "version"])]
    if not found:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    command = [*found[0], "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    assert _runs(command, SECRETS)
    for name in SECRETS:
        assert not _runs(command, {key: value for key, value in SECRETS.items() if key != name})


def _runs(command: list[str], secrets: dict[str, str] | None = None) -> bool:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **(secrets or {})}
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False).returncode == 0


def test_every_installed_package_has_a_hash() -> None:
    for name in ("Dockerfile", "Makefile"):
        text = (ROOT / name).read_text().replace("\\\n", "").replace("PIP_INSTALL := $(BIN)/python -m pip install", "")
        installs = re.findall(r"(?:pip (?:install|wheel) |\$\(PIP_INSTALL\) )(.*?)(?:&&|\n|$)", text)
        assert len(installs) >= 3
        for options in installs:
            assert "--no-deps" in options, options
            assert "--require-hashes" in options or "--no-index" in options or "--no-build-isolation" in options, (
                options
            )


def test_build_uses_one_version_of_setuptools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (wanted,) = project["build-system"]["requires"]
    assert project["dependency-groups"]["build"] == [wanted]
    for lock in ("requirements-build.txt", "requirements-test.txt", "requirements-dev.txt"):
        assert re.findall(r"^setuptools==\S+", (ROOT / lock).read_text(), re.MULTILINE) == [wanted]


def test_lock_files_pin_the_same_versions() -> None:
    def pins(lock: str) -> set[tuple[str, str]]:
        return set(re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))

    served = pins("requirements.txt")
    for lock in ("requirements-traces.txt", "requirements-test.txt", "requirements-dev.txt"):
        assert served <= pins(lock), lock
    assert pins("requirements-traces.txt") <= pins("requirements-dev.txt")


@pytest.mark.full
@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}"
)
def test_manifest_matches_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="`make check` installs the schemas")
    for version in ("1.32", "1.37"):
        validator.validate(manifest, version, strict=True)
    assert manifest["metadata"]["namespace"] == "paywall"


@pytest.mark.parametrize("name", PODS)
def test_pod_writes_nowhere_and_has_no_capability(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_pods_stay_in_service_while_the_store_is_down() -> None:
    (container,) = PODS["paywall"]["containers"]
    assert {container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {"/healthz"}
    assert PODS["paywall"]["enableServiceLinks"] is False, "PAYWALL_PORT would be tcp://…"


def test_policies_and_services_name_the_labels_of_the_pods() -> None:
    labels = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in MANIFESTS
        if manifest["metadata"]["name"] in PODS and "template" in manifest["spec"]
    }
    for manifest in MANIFESTS:
        spec, own = manifest["spec"], labels[manifest["metadata"]["name"]]
        selector = spec.get("podSelector") or spec.get("selector")
        assert selector.get("matchLabels", selector) == own
