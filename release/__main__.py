"""Build a release: wheel, source distribution, list of components (SBOM) and checksums, in `dist/` or another folder.

The files are made from the last commit alone, and the same commit gives the same bytes: their times are the commit's. For that,
Python and the packages of requirements-dev.txt must be the same, too.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HTMX = "service/entrypoints/http/admin/static/htmx.min.js"


def main(folder: Path) -> None:
    """Write the release to a folder, whose earlier files go."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        _export(source)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct").decode().strip()}
        version = tomllib.loads((source / "pyproject.toml").read_text())["project"]["version"]
        _require_changes(version, (source / "CHANGELOG.md").read_text())
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", str(folder)]
        subprocess.run([*build, str(source)], env=environment, check=True, stdout=subprocess.DEVNULL)
        (archive,) = folder.glob("*.tar.gz")
        _set_times(archive, int(environment["SOURCE_DATE_EPOCH"]))
        _write_components(source, folder / f"paywall-{version}.cdx.json", environment)
    names = sorted(path.name for path in folder.iterdir())
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def _export(folder: Path) -> None:
    """Write the files of the last commit to a new folder: what isn't committed is no part of a release."""
    if _git("status", "--porcelain", "--untracked-files=no"):
        print("Some files have changes that are not committed. The release doesn't contain them.", file=sys.stderr)
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")


def _require_changes(version: str, changes: str) -> None:
    """Raises: SystemExit if the first dated release in the changelog is another one."""
    released = re.search(r"^## (\d\S*) – \d{4}-\d\d-\d\d$", changes, re.MULTILINE)
    if released is None or released[1] != version:
        sys.exit(f"CHANGELOG.md has no section `## {version} – YYYY-MM-DD` before those of earlier releases. Add it.")


def _set_times(archive: Path, moment: int) -> None:
    """Write a source distribution anew, with one time, one owner and sorted names."""
    out = io.BytesIO()
    with tarfile.open(archive) as before, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member in sorted(before.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = moment, 0, 0, "", ""
            member.pax_headers = {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    archive.write_bytes(gzip.compress(out.getvalue(), mtime=moment))


def _write_components(source: Path, file: Path, environment: dict[str, str]) -> None:
    """Write the list of what the service is installed with, as CycloneDX: its packages, and the script of the staff page."""
    # The tool warns that it doesn't know what the service depends on, which is added below.
    listed = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(source / "requirements.txt")]
    options = ["--pyproject", str(source / "pyproject.toml"), "--output-reproducible", "--of", "JSON", "-o", str(file)]
    subprocess.run([*listed, *options], env=environment, check=True)
    components = json.loads(file.read_text())
    found = re.search(r'version:"([\d.]+)"', (source / HTMX).read_text())
    assert found is not None
    name = f"pkg:npm/htmx.org@{found[1]}"
    htmx = {"bom-ref": name, "type": "library", "name": "htmx.org", "version": found[1], "purl": name}
    components["components"].append(htmx)
    for entry in components["dependencies"]:
        if entry["ref"] == components["metadata"]["component"]["bom-ref"]:
            entry["dependsOn"] = sorted(component["bom-ref"] for component in components["components"])
    file.write_text(json.dumps(components, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
