"""Test retention: old changes go, and the state at the start of the kept time stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.adapters.redis.readers.history import HistoryRetention
from service.domain.times import write_time
from service.use_cases.privacy.retention import DAILY, UNFINISHED
from tests.admin_app import Admins, MakeAdmins
from tests.running_service import POLICY

DAY = 86_400


@pytest.fixture
def old(make_admins: MakeAdmins) -> Admins:
    """Make two readers: one grant is 900 days old, the other was changed 800 and 500 days ago and yesterday."""
    admins = make_admins(POLICY + "\n[retention]\nhistory_days = 400\naudit_days = 600\n")
    clock = admins.app.clock
    now = clock.now
    clock.now = now - 900 * DAY
    admins.grant("still")
    gone = admins.grant("gone")["id"]
    grant = admins.grant("moved")["id"]
    for days, until in ((800, "2082-01-01T00:00:00Z"), (500, "2082-02-01T00:00:00Z"), (1, "2082-03-01T00:00:00Z")):
        clock.now = now - days * DAY
        admins.call_json("ann", "PATCH", f"/v1/readers/moved/grants/{grant}", {"until": until, "reason": "x"})
        if days == 800:
            admins.call_json("ann", "DELETE", f"/v1/readers/gone/grants/{gone}?reason=x")
    clock.now = now
    return admins


def ends(admins: Admins, reader: str, days: int) -> list[str | None]:
    moment = write_time(admins.app.clock.now - days * DAY)
    return [source["until"] for source in admins.app.reader(reader, at=moment)["sources"]]


def test_retention_removes_old_changes_and_keeps_the_state_at_its_start(old: Admins) -> None:
    service = old.app.service
    assert ends(old, "moved", 850) == [None]
    assert list(service.retention.iterate_steps(old.app.clock.now))
    readers = service.readers
    assert [change.cause[:6] for change in readers.load_history("moved")] == ["audit:"] * 2
    assert ends(old, "moved", 1000) == []
    assert ends(old, "moved", 850) == []
    assert ends(old, "moved", 399) == ["2082-02-01T00:00:00Z"]
    assert ends(old, "moved", 0) == ["2082-03-01T00:00:00Z"]
    assert ends(old, "still", 10) == [None]
    assert old.app.reader("still")["access"]
    assert sum(service.retention.iterate_steps(old.app.clock.now)) == 0


def test_retention_prunes_the_audit_behind_a_checkpoint(old: Admins) -> None:
    service = old.app.service
    known = service.audit_log.state().head
    list(service.retention.iterate_steps(old.app.clock.now))
    verdict = service.audit_verifier.verify(known)
    assert (verdict.fault, verdict.checkpoint.first, verdict.checked) == (None, 6, 2)
    assert [entry["seq"] for entry in old.audit()] == [7, 6]


def test_retention_leaves_and_logs_a_broken_audit_chain(old: Admins, capfd: pytest.CaptureFixture[str]) -> None:
    service = old.app.service
    service.store.link.call(service.store.keys.audit_log, b"HSET", service.store.keys.audit_log, 2, b"{}")
    list(service.retention.iterate_steps(old.app.clock.now))
    assert service.audit_verifier.verify().fault is not None
    assert len(old.audit()) == 7
    assert "audit_chain_broken" in capfd.readouterr().out


def test_audit_is_kept_without_audit_days(make_admins: MakeAdmins) -> None:
    admins = make_admins()
    admins.grant("r-1")
    admins.app.clock.now += 3_000 * DAY
    list(admins.app.service.retention.iterate_steps(admins.app.clock.now))
    assert len(admins.audit()) == 1


def test_retention_runs_once_a_day_on_one_worker(old: Admins, make_admins: MakeAdmins) -> None:
    first, second = old.app.service, make_admins().app.service
    now = old.app.clock.now
    assert first.retention.run_for(now, 60) > 0
    assert second.retention.run_for(now, 60) == 0
    link, key = old.app.service.store.link, old.app.service.store.keys.shared("retention")
    assert DAILY - 60 < int(link.call(key, b"TTL", key)) <= DAILY


def test_unfinished_retention_continues_where_it_stopped(old: Admins) -> None:
    going = old.app.service.retention
    steps, now = 0, old.app.clock.now
    link, key = old.app.service.store.link, old.app.service.store.keys.shared("retention")
    while going.run_for(now, 0) or int(link.call(key, b"TTL", key)) <= UNFINISHED:
        steps += 1
        assert steps < 50
    assert steps > 1
    assert old.app.service.audit_verifier.load_chain_start().first == 6


def test_maintenance_reports_how_much_it_did(old: Admins) -> None:
    assert old.app.service.maintenance.settle(old.app.clock.now) > 0


def test_histories_are_trimmed_in_pages(old: Admins) -> None:
    service = old.app.service
    steps: Iterator[int] = HistoryRetention(service.store).trim_histories(old.app.clock.now - 400 * DAY)
    assert sum(steps) == 3
