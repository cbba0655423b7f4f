"""Test `make release`: what the files contain, and that the same commit gives the same files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WHEEL, SOURCE, COMPONENTS = (
    f"paywall-{VERSION}-py3-none-any.whl",
    f"paywall-{VERSION}.tar.gz",
    f"paywall-{VERSION}.cdx.json",
)

pytestmark = pytest.mark.full


def build(folder: Path, **env: str) -> Path:
    command = [sys.executable, "-m", "release", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("cyclonedx_py", reason="`make check` installs what builds a release")
    if not (ROOT / ".git").exists():
        pytest.skip("a release is built from a git repository")
    return build(tmp_path_factory.mktemp("release") / "dist")


def test_same_commit_gives_the_same_files(release: Path, tmp_path: Path) -> None:
    again = build(tmp_path / "again", TZ="Asia/Tokyo", LANG="C", SOURCE_DATE_EPOCH="1")
    assert {path.name for path in again.iterdir()} == {WHEEL, SOURCE, COMPONENTS, "SHA256SUMS"}
    for path in again.iterdir():
        assert path.read_bytes() == (release / path.name).read_bytes(), path.name


def test_checksums_are_those_of_the_files(release: Path) -> None:
    sums = [line.split("  ") for line in (release / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in sums] == sorted([WHEEL, SOURCE, COMPONENTS])
    for digest, name in sums:
        assert digest == hashlib.sha256((release / name).read_bytes()).hexdigest()


def test_wheel_contains_the_service_alone(release: Path) -> None:
    with zipfile.ZipFile(release / WHEEL) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"paywall-{VERSION}.dist-info/METADATA").decode())
    assert metadata["Version"] == VERSION
    assert {name.split("/")[0] for name in names} == {"service", f"paywall-{VERSION}.dist-info"}
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "service"], cwd=ROOT, capture_output=True, text=True
    )
    assert set(listed.stdout.split()) <= names


def test_source_distribution_contains_what_a_build_needs(release: Path) -> None:
    with tarfile.open(release / SOURCE) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "service/bootstrap.py"} <= names


def test_every_package_that_is_installed_is_listed(release: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (release / COMPONENTS).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)
    assert (listed["metadata"]["component"]["name"], listed["metadata"]["component"]["version"]) == ("paywall", VERSION)
    found = {(each["name"].lower(), each["version"]) for each in listed["components"]}
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pinned) > 20
    assert {(name.lower(), version) for name, version in pinned} <= found
    assert "htmx.org" in {name for name, _ in found}
    depends = {entry["ref"]: entry.get("dependsOn", []) for entry in listed["dependencies"]}
    assert len(depends[listed["metadata"]["component"]["bom-ref"]]) == len(found)


def test_changelog_begins_with_the_version_of_the_package() -> None:
    released = re.findall(r"^## (\S+) – (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0][0] == VERSION


def test_version_is_in_one_place() -> None:
    repeated = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "service").rglob("*.py")
        if re.search(rf"""["']{re.escape(VERSION)}["']""", path.read_text())
    ]
    assert repeated == []
