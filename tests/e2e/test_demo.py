"""Test `paywall demo` step by step over HTTP."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from demo.layout import create_layout
from demo.welcome import grant_command
from tests.running_demo import DAY, MONTH, begun, running

if TYPE_CHECKING:
    from tests.running_demo import Demo, Visit

Until = Callable[..., float]


FRESH = ("harbour-contract", "school-buses", "heat-grid", "newsmaker-ferry", "women-eight", "meridian")
OLD = "coopers-row"
"""A story beyond the free ones: only what a reader holds opens it."""
NOTEBOOK = 'class="notebook'
BOX = "Unlock unlimited access"
AD = 'aria-label="Advertisement"'
AUTOPLAY = "autoplay muted"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run one demo for all tests of this file. Its clock only moves forward."""
    with running(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def opens(visit: Visit, story: str = OLD) -> bool:
    """Whether a story is open. Wait for a closed one: on a busy machine the store is unavailable at times, and a signed-in
    reader then gets the full story.
    """
    page = visit.story(story)
    assert (NOTEBOOK in page) != (BOX in page), re.sub(r"(?s)<svg.*?</svg>|<[^>]*>|\\s+", " ", page)
    return NOTEBOOK in page


def test_demo_prints_the_newspaper_url_on_its_own_line(demo: Demo) -> None:
    lines = [line.strip() for line in demo.printed.splitlines()]
    assert demo.paper in lines
    assert "The Daily Ledger" in demo.visit().get("/")
    progress = [
        line for line in demo.complaints.splitlines() if not re.fullmatch(r"Port \d+ is in use, using \d+\.", line)
    ]
    assert [line.partition(" ")[0] for line in progress] == ["Starting", "Writing", "Starting"]


def test_printed_link_signs_in_to_the_staff_page_once(demo: Demo) -> None:
    link = next(word for word in demo.printed.split() if "/admin/sign-in/link?" in word)
    found = [requests.get(link, timeout=60).url for _ in range(2)]
    assert found[0].endswith("/admin/")
    assert "/admin/sign-in/link" in found[1], "it was used"


def test_printed_grant_command_opens_the_story_after_the_meter(demo: Demo, until: Until) -> None:
    visitor = demo.visit()
    until(lambda: sum(opens(visitor, story) for story in FRESH[:3]) == 2)
    assert "The facts" in visitor.story(FRESH[2])
    maya = demo.visit("r-1042")
    until(lambda: sum(opens(maya, story) for story in FRESH) == 5)
    closed = next(story for story in FRESH if not opens(maya, story))
    assert AD in maya.story(closed)
    assert AUTOPLAY in maya.story(closed)
    assert "Your seat" not in maya.get("/events")
    granted = demo.shell(demo.command)
    assert (granted.returncode, granted.stderr) == (0, "")
    page = maya.story(closed)
    assert NOTEBOOK in page
    assert AD not in page
    assert AUTOPLAY not in page
    assert "Your seat" in maya.get("/events")
    assert "<dt>VIP</dt><dd>Until" in maya.get("/account")


def test_staff_page_shows_the_demo_month(demo: Demo, until: Until) -> None:
    page, key = demo.newsroom
    with requests.Session() as app:
        app.trust_env = False
        token = re.search(r'name="token" value="(\w+)"', app.get(f"{page}sign-in", timeout=60).text)
        assert token is not None
        overview = app.post(f"{page}sign-in", data={"key": key, "token": token[1]}, timeout=60).text
        assert "Stripe event failed" in overview
        assert re.search(r"\d+ of [\d\W]+signed-in readers who saw the paywall", overview)
        reader = app.get(f"{page}reader", params={"id": "r-carla"}, timeout=60).text
        assert "Grace period" in reader
        assert "Card declined" in reader
        until(lambda: "Not confirmed by Stripe yet" not in app.get(f"{page}reader?id=r-jonas", timeout=60).text)


def test_group_owner_invites_a_reader_and_takes_the_seat_back(demo: Demo) -> None:
    school, ngozi = demo.visit("r-school"), demo.visit("r-3310")
    assert "3 of 5 seats taken, 1 open invitation." in school.get("/account")
    page = school.post("/group/sub_demo090/invite").text
    link = unescape(re.search(r'value="([^"]*/join[^"]*)"', page)[1])  # type: ignore[index]  # it is there
    place = link.removeprefix(demo.paper)
    assert "Take the seat as Ngozi" in ngozi.get(place)
    assert not opens(ngozi)
    token = {"invite": place.partition("=")[2]}
    assert "Welcome to the group" in ngozi.post("/join", **token).text
    assert opens(ngozi)
    assert "4 of 5 seats taken" in school.get("/account")
    back = {"reader": "r-3310"}
    assert "to confirm" in school.post("/group/sub_demo090/take-back", **back).text
    assert "Ngozi has no seat any more" in school.post("/group/sub_demo090/take-back", sure="yes", **back).text
    assert not opens(ngozi)
    assert "no longer valid" in ngozi.post("/join", **token).text


def test_purchase_opens_before_its_webhook_and_ends_after_cancellation(demo: Demo, until: Until) -> None:
    tobias = demo.visit("r-2077")
    until(lambda: not opens(tobias))
    demo.pull(webhooks="hold")
    back = tobias.buys("price_month", OLD)
    assert back.url == f"{demo.paper}/story/{OLD}"
    assert NOTEBOOK in back.text
    assert AD not in back.text
    demo.pull(webhooks="normal")
    until(lambda: " 0 waiting" in demo.pull(webhooks="normal"))
    assert opens(tobias)
    assert "Ends on" in tobias.portal(action="cancel")
    demo.pull(later=27 * DAY)
    assert opens(tobias)
    demo.pull(later=MONTH - 27 * DAY)
    until(lambda: not opens(tobias))
    until(lambda: "No membership yet" in tobias.get("/account"))


def test_command_uses_the_demo_clock(demo: Demo) -> None:
    demo.pull(later=MONTH)
    late = demo.shell(demo.command)
    assert late.returncode == 1
    assert "until" in late.stderr


def test_failed_renewal_has_14_grace_days_and_paying_reopens(demo: Demo, until: Until) -> None:
    ngozi = demo.visit("r-3310")
    assert NOTEBOOK in ngozi.buys("price_month", OLD).text
    demo.pull(fails=demo.button("fails", "r-3310"), retries_end="past_due")
    demo.pull(later=MONTH)
    until(lambda: "Your last payment did not go through" in ngozi.get("/account"))
    assert opens(ngozi)
    demo.pull(later=14 * DAY)
    until(lambda: not opens(ngozi))
    demo.pull(works=demo.button("works", "r-3310"))
    ngozi.portal(action="pay")
    until(lambda: opens(ngozi))


def test_refunded_pass_locks_the_story(demo: Demo, until: Until) -> None:
    anselm = demo.visit("r-4581")
    back = anselm.buys("price_day", OLD)
    assert NOTEBOOK in back.text
    assert AD in back.text, "a day pass opens the notebook and nothing else"
    demo.pull(refund=demo.button("refund", "r-4581"))
    until(lambda: not opens(anselm))


def test_second_demo_in_the_folder_reports_what_blocks_it(demo: Demo) -> None:
    second = begun_beside(demo)
    assert second.process.wait(60) == 1
    assert str(demo.folder / ".paywall") in second.complaints
    assert "PAYWALL_DATA" in second.complaints
    assert "Traceback" not in second.complaints
    refused = demo.shell(demo.command.partition(" grants ")[0] + " serve")
    assert refused.returncode == 1
    assert "paywall demo" in refused.stderr
    assert "stop the demo" in refused.stderr


def begun_beside(demo: Demo) -> Demo:
    """Start another demo in the same folder and keep the output of the first."""
    kept = {name: (demo.folder / name).rename(demo.folder / f"{name}.first") for name in ("out", "err")}
    try:
        second = begun(demo.folder)
        second.process.wait(60)
        (demo.folder / "beside").mkdir()
        for name in kept:
            (demo.folder / name).rename(demo.folder / "beside" / name)
    finally:
        for name, first in kept.items():
            first.rename(demo.folder / name)
    second.folder = demo.folder / "beside"
    return second


def test_sigint_ends_the_demo_within_ten_seconds_without_leftovers(demo: Demo, until: Until) -> None:
    """This test is the last of this file, since it ends the shared demo."""
    ports = [int(url.rsplit(":", 1)[1].partition("/")[0]) for url in (demo.paper, demo.backstage)]
    connected = [socket.create_connection(("127.0.0.1", port), timeout=60) for port in ports]
    struck = time.monotonic()
    assert demo.end(signal.SIGINT, group=True) == 0
    assert time.monotonic() - struck < 20, "ten seconds, and as many for a busy machine"
    for each in connected:
        each.close()
    until(lambda: not alive_in_group(demo.process.pid))
    assert not (demo.folder / ".paywall").exists()
    expected = (
        " answered 503",
        "/v1/invites/accept answered 404",
        " …",
    )  # 404: a test tries a used invitation; …: progress
    complaints = [line for line in demo.complaints.splitlines() if not line.endswith(expected)]
    complaints = [line for line in complaints if not line.startswith("Port ")]
    assert complaints == [], "except for a store that was too busy at times"


def alive_in_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.full
@pytest.mark.parametrize(("sign", "group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)])
def test_every_ending_signal_ends_all_parts_and_leaves_nothing_behind(
    tmp_path: Path, until: Until, sign: int, group: bool
) -> None:
    with running(tmp_path) as demo:
        assert demo.end(sign, group=group) == 0
    until(lambda: not alive_in_group(demo.process.pid))
    assert not (tmp_path / ".paywall").exists()


@pytest.mark.full
def test_sigint_during_start_leaves_nothing_behind(tmp_path: Path, until: Until) -> None:
    demo = begun(tmp_path)
    until(lambda: (tmp_path / ".paywall" / "demo-config").exists())
    assert demo.end(signal.SIGINT, group=True) == 0
    until(lambda: not alive_in_group(demo.process.pid))
    assert not (tmp_path / ".paywall").exists()


@pytest.mark.full
def test_parts_end_with_a_killed_demo_and_next_demo_is_fresh(tmp_path: Path, until: Until) -> None:
    with running(tmp_path) as demo:
        assert demo.shell(demo.command).returncode == 0
        demo.process.kill()
        demo.process.wait()
        until(lambda: not alive_in_group(demo.process.pid))
    with running(tmp_path) as demo:
        anew = demo.visit("r-1042")
        until(lambda: not opens(anew))


def test_demo_does_not_touch_a_folder_with_service_data(tmp_path: Path) -> None:
    kept = tmp_path / ".paywall" / "store" / "appendonly.aof"
    kept.parent.mkdir(parents=True)
    kept.write_text("what readers hold")
    demo = begun(tmp_path)
    assert demo.process.wait(60) == 1
    assert "PAYWALL_DATA" in demo.complaints
    assert kept.read_text() == "what readers hold"


def test_demo_picks_free_ports_when_the_default_is_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        layout = create_layout(tmp_path, port)
    assert f"Port {port} is in use, using {layout.service_port}." in layout.moved
    ports = {layout.service_port, layout.newspaper_port, layout.stripe_port}
    assert port not in ports
    assert len(ports) == 3


def test_printed_command_sets_and_unsets_the_needed_variables() -> None:
    assert grant_command({}).partition(" grants add ")[0].endswith("paywall")
    line = grant_command({"PAYWALL_DATA": "/tmp/a b", "REDIS_URL": "redis://elsewhere"})
    assert line.startswith("env -u REDIS_URL 'PAYWALL_DATA=/tmp/a b' ")
