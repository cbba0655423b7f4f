"""Test the tutorial's three sites against the service, and that the page shows the files that run here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.node_packages import NodePackages
from tests.running_service import SITE_KEY, Paywall
from tests.store_servers import free_port, wait_until

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "your-own-site.md"
SITES = TUTORIAL.with_suffix("")
OPEN_SENTENCE = "The city sold the harbour on Monday."
CANARY = "The contract names a second buyer."
"""The sentence in the locked part."""


@dataclass
class Site:
    """One of the sites, and a browser of its own. `blind`: the same site, which cannot reach the service."""

    name: str
    url: str
    blind: str

    def __post_init__(self) -> None:
        self.browser = requests.Session()
        self.browser.trust_env = False

    def shows_all(self, story: str) -> bool:
        return self.sentences(story) == {OPEN_SENTENCE, CANARY}

    def sentences(self, story: str) -> set[str]:
        return set(re.findall(r"<p>(.*?)</p>", self.read(story)))

    def read(self, story: str, *, url: str = "") -> str:
        answer = self.browser.get(f"{url or self.url}/story/{self.name}-{story}", timeout=30)
        assert answer.status_code == 200
        return answer.text


def command_of(name: str, folder: Path, port: int, request: pytest.FixtureRequest) -> list[str]:
    """Return the tutorial's command for a site, on another port; skip where its program is missing."""
    if name == "py":
        return [sys.executable, "-m", "flask", "--app", str(SITES / "news.py"), "run", "--port", str(port)]
    if name == "php":
        if shutil.which("php") is None:
            pytest.skip("PHP is not installed")
        return ["php", "-S", f"127.0.0.1:{port}", str(SITES / "news.php")]
    packages: NodePackages = request.getfixturevalue("node_packages")
    shutil.copy(SITES / "news.mjs", folder)
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(packages.folder / "node_modules")
    return ["node", str(folder / "news.mjs")]


@pytest.fixture(params=["py", "mjs", "php"])
def site(request: pytest.FixtureRequest, documented: Paywall, tmp_path: Path) -> Iterator[Site]:
    ports = (free_port(), free_port())
    processes: list[subprocess.Popen[bytes]] = []
    with (tmp_path / "log").open("wb") as log:
        for port, service in zip(ports, (documented.url, "http://127.0.0.1:1"), strict=True):
            command = command_of(request.param, tmp_path, port, request)
            variables = {"PAYWALL": service, "SITE_KEY": SITE_KEY, "PORT": str(port)}
            processes.append(subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log))
        try:
            one = Site(request.param, *(f"http://127.0.0.1:{port}" for port in ports))
            wait_until(lambda: is_up(one.url) and is_up(one.blind))
            yield one
        finally:
            for process in processes:
                process.kill()
                process.wait()


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/sign-in/nobody", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def test_each_site_shows_the_locked_part_only_where_the_service_opens_it(site: Site, documented: Paywall) -> None:
    # On a busy machine an answer can come after the site's timeout; a story that was counted stays free.
    for story in ("harbour", "school", "harbour"):
        wait_until(partial(site.shows_all, story))
    locked: list[str] = []

    def shows_the_offer() -> bool:
        locked.append(site.read("airport"))
        return "<h2>Unlock unlimited access</h2><button>Support us</button>" in locked[-1]

    wait_until(shows_the_offer)
    assert all(OPEN_SENTENCE in page and CANARY not in page for page in locked)
    documented.grant(f"r-{site.name}", reason="tutorial")
    assert site.browser.get(f"{site.url}/sign-in/r-{site.name}", timeout=30).status_code == 200
    wait_until(lambda: CANARY in site.sentences("airport"))
    without_service = site.read("airport", url=site.blind)
    assert OPEN_SENTENCE in without_service
    assert CANARY not in without_service


@pytest.mark.parametrize("name", ["news.py", "news.mjs", "news.php"])
def test_tutorial_shows_each_file_as_it_is(name: str) -> None:
    shown = re.findall(r"^```\w+\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert (SITES / name).read_text() in shown
    assert len((SITES / name).read_text().splitlines()) <= 40
