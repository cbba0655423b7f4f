"""Test the clients for Node.js: an Express site, and a Next.js site."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.node_packages import NodePackages
from tests.running_service import SITE_KEY, Paywall
from tests.store_servers import free_port, wait_until

CLIENTS = Path(__file__).parents[2] / "clients"
PINNED = Path(__file__).parents[1] / "node" / "package.json"
CANARY = "canary <of> the notebook"
SHOWN = "canary &#60;of&#62; the notebook"
START = {"express": ["node", "example.js"], "nextjs": ["node", "../node_modules/next/dist/bin/next", "dev", "--port"]}

pytestmark = pytest.mark.full


@dataclass
class Site:
    """A running example, with a story that is locked for whoever isn't entitled."""

    url: str
    kind: str

    def story(self, session: requests.Session | None = None, reader: str | None = None) -> requests.Response:
        headers = {"X-Signed-In-As": reader} if reader else {}
        return (session or requests).get(f"{self.url}/stories/harbour", headers=headers, timeout=60)


@pytest.fixture(scope="module", params=START)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def running(kind: str, packages: NodePackages, paywall_url: str) -> Iterator[Site]:
    """Run a copy of an example beside its packages: Next.js follows no link to them."""
    port = free_port()
    source = packages.folder / f"{kind}-{port}"
    shutil.copytree(CLIENTS / kind, source)
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PAYWALL_URL": paywall_url,
        "PAYWALL_SITE_KEY": SITE_KEY,
        "PORT": str(port),
        "NOTEBOOK": CANARY,
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    command = [*START[kind], *([str(port)] if kind == "nextjs" else [])]
    with (source / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=source, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        site = Site(f"http://127.0.0.1:{port}", kind)
        wait_until(lambda: _answers(process, source, site))
        yield site
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        shutil.rmtree(source)


def _answers(process: subprocess.Popen[bytes], source: Path, site: Site) -> bool:
    assert process.poll() is None, (source / "log").read_text()
    try:
        return requests.get(f"{site.url}/stories/none", timeout=60).status_code == 404
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def site(kind: str, node_packages: NodePackages, paywall: Paywall) -> Iterator[Site]:
    with running(kind, node_packages, paywall.url) as site:
        yield site


def test_locked_text_is_on_no_page(site: Site) -> None:
    answer = site.story()
    assert answer.status_code == 200
    assert "The council signed." in answer.text
    assert "Unlock unlimited access" in answer.text
    assert answer.headers["Cache-Control"] == "private, no-store"
    others = ["/feed.json"] if site.kind == "express" else ["/stories/harbour?_rsc=1"]
    for text in (answer.text, *(requests.get(site.url + other, timeout=60).text for other in others)):
        assert "canary" not in text


def test_entitled_reader_sees_the_locked_part(site: Site, paywall: Paywall) -> None:
    paywall.grant(f"maya-{site.kind}")
    answer = site.story(reader=f"maya-{site.kind}")
    assert SHOWN in answer.text
    assert "Unlock" not in answer.text
    assert "canary" not in site.story(reader=f"stranger-{site.kind}").text


def test_visitor_keeps_their_id(site: Site) -> None:
    with requests.Session() as visitor:
        site.story(visitor)
        (first,) = (cookie for cookie in visitor.cookies if cookie.name == "paywall_visitor")
        site.story(visitor)
        assert visitor.cookies["paywall_visitor"] == first.value
        assert first.has_nonstandard_attr("HttpOnly")
    with requests.Session() as forger:
        forger.cookies.set("paywall_visitor", "x" * 500)
        assert "The council signed." in site.story(forger).text


class Failing(ThreadingHTTPServer):
    """A paywall that answers everything with a 503, and keeps whether it was asked to count."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FailingHandler)
        self.counts: list[bool] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class FailingHandler(BaseHTTPRequestHandler):
    """Answer the requests of `Failing`."""

    server: Failing

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.counts.append(body["count"])
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class requires this name
        """Log nothing."""


def test_story_stays_locked_without_an_answer_and_only_reads_count(kind: str, node_packages: NodePackages) -> None:
    def assert_locked(text: str) -> None:
        assert "The council signed." in text
        assert "Please try again" in text
        assert "canary" not in text

    with Failing() as failing, running(kind, node_packages, failing.url) as site:
        thread = Thread(target=failing.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            requests.head(f"{site.url}/stories/harbour", timeout=60)
            requests.get(f"{site.url}/stories/harbour", headers={"Sec-Purpose": "prefetch"}, timeout=60)
            assert_locked(site.story().text)
        finally:
            failing.shutdown()
            thread.join()
        assert failing.counts == [False, False, True]
        failing.server_close()
        assert_locked(site.story().text)


def test_examples_name_the_versions_that_were_tested(kind: str) -> None:
    pinned = json.loads(PINNED.read_text())["dependencies"]
    wanted = json.loads((CLIENTS / kind / "package.json").read_text())["dependencies"]
    assert wanted == {name: pinned[name] for name in wanted}
