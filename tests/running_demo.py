"""Run `paywall demo` in a folder that has only a configuration, and visit it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.store_servers import wait_until

ROOT = Path(__file__).parents[1]
BARE = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT)}
"""What another terminal has, and no setting: only where this checkout lies."""
DAY = 86_400
MONTH = 31 * DAY + 7_200
"""Seconds: as long as any, and the time in which a renewal is charged."""


@dataclass
class Visit:
    """A new browser, as far as HTTP goes."""

    paper: str
    session: requests.Session

    def get(self, path: str) -> str:
        return self._answer("GET", self.paper + path).text

    def story(self, story: str) -> str:
        return self.get(f"/story/{story}")

    def post(self, place: str, **form: str) -> requests.Response:
        """Send a form to the newspaper, or to another URL, and follow redirects."""
        return self._answer("POST", place if place.startswith("http") else self.paper + place, data=form)

    def buys(self, price: str, story: str) -> requests.Response:
        """Buy a price on a story's page and return from the payment page."""
        page = self.post("/subscribe", story=story, choice=f"price:{price}")
        assert "/c/pay/" in page.url
        return self.post(page.url, choice="pay", email="reader@example.org")

    def portal(self, **form: str) -> str:
        """Return the text of the portal page; with a form, the page after sending it."""
        page = self.post("/manage")
        if not form:
            return page.text
        more = {name: found.group(1) for name in ("subscription", "invoice") if (found := _hidden(name, page.text))}
        return self.post(page.url, **more, **form).text

    def _answer(self, method: str, url: str, data: dict[str, str] | None = None) -> requests.Response:
        answer = self.session.request(method, url, data=data, timeout=60)
        assert answer.status_code == 200, f"{url} answered {answer.status_code}"
        return answer


def _hidden(name: str, page: str) -> re.Match[str] | None:
    return re.search(rf'type="hidden" name="{name}" value="(\w+)"', page)


@dataclass
class Demo:
    """A running demo. It prints `paper`, `backstage` and `command`."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def printed(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def complaints(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def paper(self) -> str:
        return next(line.strip() for line in self.printed.splitlines() if line.strip().startswith("http://"))

    @property
    def backstage(self) -> str:
        return next(line.split()[-1] for line in self.printed.splitlines() if line.startswith("Backstage:"))

    @property
    def newsroom(self) -> tuple[str, str]:
        """Return the staff page's URL and a key for it."""
        words = {line.partition(":")[0]: line.split() for line in self.printed.splitlines()}
        return words["Staff page"][2], words["Staff key"][2]

    @property
    def command(self) -> str:
        return next(line for line in self.printed.splitlines() if "grants add" in line)

    def visit(self, reader: str | None = None) -> Visit:
        session = requests.Session()
        session.trust_env = False
        visit = Visit(self.paper, session)
        if reader:
            visit.post("/sign-in", reader=reader)
        return visit

    def pull(self, **strings: str | int) -> str:
        """Press a button on the backstage page and return the next page."""
        answer = requests.post(self.backstage, data={name: str(value) for name, value in strings.items()}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.text

    def button(self, name: str, reader: str) -> str:
        """Return the value of a reader's button on the backstage page, such as `refund`."""
        page = requests.get(self.backstage, timeout=60).text
        rows = [row for row in page.split('class="row"') if f"<p>{reader}:" in row]
        return next(found.group(1) for row in rows if (found := re.search(rf'name="{name}" value="(\w+)"', row)))

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in another shell in the same folder."""
        return subprocess.run(
            line, shell=True, cwd=self.folder, env=BARE, capture_output=True, text=True, timeout=60, check=False
        )

    def end(self, sign: int = signal.SIGTERM, *, group: bool = False) -> int:
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, sign)
        return self.process.wait(60)


def begun(folder: Path) -> Demo:
    """Start a demo in a folder without waiting for it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        command = [sys.executable, "-m", "service.entrypoints.cli", "demo"]
        process = subprocess.Popen(command, cwd=folder, env=BARE, stdout=out, stderr=err, start_new_session=True)
    return Demo(folder, process)


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """Run a demo for the block, from when it is ready."""
    demo = begun(folder)
    try:
        wait_until(lambda: "Ctrl-C" in demo.printed or demo.process.poll() is not None, 120)
        assert demo.process.poll() is None, demo.complaints
        yield demo
        assert "Traceback" not in demo.complaints
    finally:
        try:
            demo.end()
        except subprocess.TimeoutExpired:
            os.killpg(demo.process.pid, signal.SIGKILL)
            demo.process.wait()
