"""Test that a backup restores everything on another store, engine or prefix."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.adapters.crypto import Sealer
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import Keys, reader_hash
from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grants import GrantRequest
from service.adapters.redis.service_state.snapshot import Snapshot, SnapshotPart, TitleRegistry
from service.use_cases.operations import backup
from service.use_cases.operations.backup import BadBackup, RestoreIncomplete
from tests.admin_app import SECRETS, Admins
from tests.in_process_app import MakeApp
from tests.recorded_stripe import NOW, Maker, Stage
from tests.running_service import POLICY
from tests.store_servers import Launch
from tests.use_cases.operations.conftest import SEALER, backed_up, restored, snapshot_of

READERS = ["reader-1", "r-2", "r-3", "old", "heir", "stranger"]


def with_a_past(admins: Admins) -> dict[str, Any]:
    """Use every part of the app, and return what must be the same afterwards."""
    admins.app.clock.now = float(NOW)
    stage = Stage.over(admins.app.service)
    make = Maker(stage)
    grant = admins.grant("reader-1", until="2034-01-01T00:00:00Z")
    admins.app.clock.now += 60
    admins.call_json("ann", "DELETE", f"/v1/readers/reader-1/grants/{grant['id']}?reason=over")
    make.deliver("customer.subscription.created", make.subscription(reader="r-2"))
    make.deliver("checkout.session.completed", make.session(reader="r-3", customer="cus_3"))
    rows = b"reader,plan,until,reason\nr-3,vip,never,press\n"
    admins.call("ann", "POST", "/v1/grants/import", data=rows, content_type="text/csv")
    admins.app.service.imports.finish_all()
    admins.grant("old")
    admins.call_json("ann", "POST", "/v1/readers/heir/merge", {"from": "old"})
    key = admins.make_key("gina", "granter")
    admins.app.ask("s-1", reader="reader-1")
    admins.app.ask("s-2", visitor="v-1")
    decision = admins.app.ask("s-9", reader="r-2")["decision_id"]
    admins.call_json(
        "ann", "POST", "/v1/passes", {"story": "s", "openings": 3, "until": "2033-06-01T00:00:00Z", "reason": "x"}, 201
    )
    admins.app.service.audit.flush_all()
    return {"key": key, "decision": decision}


def observed_state(admins: Admins, known: dict[str, Any]) -> dict[str, Any]:
    """Return what admins can see."""
    return {
        "readers": [admins.app.reader(reader) for reader in READERS],
        "then": [admins.app.reader(reader, at="2033-05-18T03:33:50Z") for reader in READERS],
        "audit": admins.list_all("/v1/audit", limit=100),
        "events": admins.list_all("/v1/events", limit=100),
        "keys": admins.call_json("ann", "GET", "/v1/keys")["items"],
        "decision": admins.call_json("ann", "GET", f"/v1/decisions/{known['decision']}"),
        "visitor": admins.app.ask("s-2", visitor="v-1", count=False)["meter"],
    }


def test_restore_on_another_engine_brings_everything_back(
    admins: Admins, other_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    known = with_a_past(admins)
    before = observed_state(admins, known)
    file = backed_up(admins, tmp_path)
    other = other_admins()
    other.app.clock.now = admins.app.clock()
    restored(file, other)
    assert observed_state(other, known) == before
    other.call_json(known["key"], "GET", "/v1/readers/reader-1")
    assert other.app.service.audit_verifier.verify().fault is None
    assert other.app.service.event_processor.finish_postponed(other.app.clock()) == 0


def test_restored_service_continues_normally_under_another_prefix(
    admins: Admins, other_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    known = with_a_past(admins)
    file = backed_up(admins, tmp_path)
    other = other_admins(PAYWALL_PREFIX="elsewhere")
    other.app.clock.now = admins.app.clock() + 60
    restored(file, other)
    before = len(other.audit(limit=100))
    other.grant("reader-1")
    assert len(other.audit(limit=100)) == before + 1
    assert other.app.service.audit_verifier.verify().fault is None
    stage = Stage.over(other.app.service)
    stage.keys = other.app.service.store.keys
    repeated_event = Maker(stage).event("customer.subscription.created", Maker(stage).subscription(reader="r-2"))
    stage.processor = stage.make()
    assert stage.deliver(repeated_event).known, "an event seen already is known"
    assert known["key"]


def test_backup_leaves_out_and_counts_other_titles(
    admins: Admins, make_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    link, snapshot = admins.app.service.store.link, snapshot_of(admins)
    registered = make_admins(PAYWALL_PREFIX="pw:b")
    registered.grant("r-9")
    registered.app.service.reader_lists.task.stop()  # It writes keys in the background.
    TitleRegistry(registered.app.service.store).register(NOW)
    admins.grant("r-1")
    # The title pw:new is of a release that does not register.
    for name in (b"b:idem:00", b"new:secret", b"new:imports", b"new:{s:1}o:customer:cus_1"):
        link.call(b"pw:" + name, b"SET", b"pw:" + name, b"theirs")

    def theirs() -> set[bytes]:
        return {key for page in link.scan_nodes(b"*") for key in page if key.startswith((b"pw:b:", b"pw:new:"))}

    for key in theirs():
        link.call(key, b"PERSIST", key)  # On a busy machine some would expire meanwhile.
    before = theirs()
    expected = {"pw:b": len(before) - 3, "pw:new": 3}
    assert not [part.key for part in snapshot.read_parts() if part.key.startswith((b"b:", b"new:"))]
    assert snapshot.count_keys().of_titles == expected
    file = backed_up(admins, tmp_path)
    assert backup.check_backup(file, SEALER).other_titles == expected
    assert snapshot.count_keys().kept > 0
    snapshot.delete_all()
    assert snapshot.count_keys().kept == 0
    assert theirs() == before


def test_backup_keeps_our_keys_that_look_like_another_title(
    admins: Admins, other_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    """An ID with a brace or a colon stands in our keys; so do a title called pw:decision and its keys."""
    service = admins.app.service
    for at in range(70):
        for customer in (f"{{{at}", f"b:{{{at}", f"c{at}:secret", f"c{at}:title"):
            service.subscription_admin.link_to_reader("r-1", customer=customer, actor=Actor("ann"), now=NOW)
    key = service.store.keys.shared("decision:00ff")
    service.store.link.call(key, b"SET", key, b"sealed")
    for name in (b"pw:decision:policies", b"pw:decision:{x}past"):
        service.store.link.call(name, b"SET", name, b"theirs")
    file = backed_up(admins, tmp_path)
    assert backup.check_backup(file, SEALER).other_titles == {"pw:decision": 2}
    other = other_admins()
    restored(file, other)
    for at in range(70):
        for customer in (f"{{{at}", f"b:{{{at}", f"c{at}:secret", f"c{at}:title"):
            assert other.app.service.event_processor.objects.load(f"customer:{customer}").owner.reader == "r-1"
    assert other.app.service.store.link.call(key, b"GET", key) == b"sealed"


def test_every_stored_key_counts_as_ours(admins: Admins) -> None:
    with_a_past(admins)
    counted = snapshot_of(admins).count_keys()
    assert counted.of_titles == {}
    assert counted.kept > 20


def test_backup_file_is_private_and_encrypted(admins: Admins, tmp_path: Path) -> None:
    known = with_a_past(admins)
    file = backed_up(admins, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    for word in ("reader-1", "press", known["key"], "sub_1", "granter"):
        assert word.encode() not in content
    assert list(tmp_path.glob(".*")) == []


def test_backup_does_not_open_with_other_secrets(admins: Admins, tmp_path: Path) -> None:
    file = backed_up(admins, tmp_path)
    with pytest.raises(BadBackup, match="PAYWALL_SECRETS"):
        backup.check_backup(file, Sealer(["another-secret"], "backup"))
    assert (
        backup.check_backup(file, Sealer(["newer-secret", "secret-of-the-tests-0123456789abcdef"], "backup")).keys >= 0
    )


def test_backup_of_the_former_release_is_restored(admins: Admins) -> None:
    """`former.backup` was made by `paywall backup` at commit 5f2dcd8. Do not make it again."""
    file = Path(__file__).parent / "former.backup"
    summary = backup.check_backup(file, SEALER)
    assert (summary.keys, summary.prefix, summary.made_at) == (17, "pw:old", "2026-11-29T02:28:50Z")
    assert (summary.short_lived, summary.other_titles) == (0, {})
    restored(file, admins)
    service = admins.app.service
    backup.record_restore(service.store, [SECRETS], summary, None, Actor("cli:ann"), 1_796_000_000)
    admins.app.clock.now = 1_796_000_000.0
    assert admins.app.reader("r-former")["access"]
    assert service.event_processor.objects.load("customer:cus_7").owner.reader == "r-former"
    assert service.erased.last_erased_at("r1") == 1_795_919_324
    actions = [record["action"] for record in admins.audit()]
    assert actions == ["restore", "reader.erase", "link", "grant.create", None]
    assert service.audit_verifier.verify().fault is None


def test_every_damage_to_a_backup_is_detected(admins: Admins, tmp_path: Path) -> None:
    with_a_past(admins)
    file = backed_up(admins, tmp_path)
    good = file.read_bytes()
    lines = good.splitlines(keepends=True)
    assert backup.check_backup(file, SEALER).keys > 20
    broken = [good[:cut] for cut in (0, 10, len(lines[0]), len(good) // 2, len(good) - 1, len(good) - 70)]
    broken += [
        good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(3, len(good), max(1, len(good) // 60))
    ]
    broken += [b"".join(lines[:at] + lines[at + 1 :]) for at in range(len(lines))]
    broken += [b"".join([*lines[:1], lines[2], lines[1], *lines[3:]]), good + b"x", b"".join([*lines[:2], *lines[1:]])]
    for content in broken:
        file.write_bytes(content)
        with pytest.raises(BadBackup):
            backup.check_backup(file, SEALER)


def test_backup_with_another_number_of_keys_is_rejected(admins: Admins, tmp_path: Path) -> None:
    with_a_past(admins)
    file = backed_up(admins, tmp_path)
    *lines, last, _ = file.read_bytes().splitlines()
    opened = SEALER.open(last.decode())
    assert opened is not None
    number, file_id, kind, end = msgspec.msgpack.decode(zlib.decompress(opened))
    end["keys"] += 1
    packed = zlib.compress(msgspec.msgpack.encode([number, file_id, kind, end]))
    content = b"\n".join([*lines, SEALER.seal(packed).encode(), b""])
    file.write_bytes(content + b"sha256 " + hashlib.sha256(content).hexdigest().encode() + b"\n")
    with pytest.raises(BadBackup, match=r"holds \d+ keys, but says that it holds"):
        backup.check_backup(file, SEALER)


def test_restore_reports_keys_that_the_store_has_lost(
    admins: Admins, make_app: MakeApp, launch: Launch, tmp_path: Path
) -> None:
    link, keys = admins.app.service.store.link, admins.app.service.store.keys
    for at in range(300):
        key = keys.shared(f"{{t{at}}}large")
        link.call(key, b"SET", key, b"x" * 20_000)
    file = backed_up(admins, tmp_path)
    evicting = launch(maxmemory="5mb", maxmemory_policy="allkeys-random")
    other = make_app(evicting.url, POLICY)
    with pytest.raises(RestoreIncomplete) as lost:
        backup.restore_backup(file, other.service.store, SEALER, replace=True, progress=lambda _: None)
    assert lost.value.missing > 10


def test_restore_is_recorded_in_the_audit_log(
    admins: Admins, other_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    admins.grant("r-1")
    file = backed_up(admins, tmp_path)
    summary = backup.check_backup(file, SEALER)
    other = other_admins()
    for reader in ("r-2", "r-3", "r-4"):
        other.grant(reader)
    end = other.app.service.audit_log.state().head
    replaced = restored(file, other)
    assert replaced == end
    store, now = other.app.service.store, other.app.clock()
    backup.record_restore(store, [SECRETS], summary, replaced, Actor("cli:ann"), now)
    newest, oldest = other.audit()
    assert (newest["action"], newest["actor"], newest["target"]) == ("restore", "cli:ann", summary.checksum)
    assert newest["before"] == {"head": str(end)}
    assert newest["after"] == {"made_at": summary.made_at, "keys": summary.keys}
    assert (oldest["action"], oldest["reader"]) == ("grant.create", "r-1")
    assert other.app.service.audit_verifier.verify().fault is None


def test_record_of_another_backup_is_rejected(admins: Admins, tmp_path: Path) -> None:
    with_a_past(admins)
    first = backed_up(admins, tmp_path).read_bytes().splitlines(keepends=True)
    file = backed_up(admins, tmp_path)
    second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([second[0], first[1], *second[2:]]))
    with pytest.raises(BadBackup, match="does not belong there"):
        backup.check_backup(file, SEALER)


def test_large_collection_is_backed_up_in_parts(admins: Admins, tmp_path: Path) -> None:
    link, keys = admins.app.service.store.link, admins.app.service.store.keys
    big, scored = keys.shared("{big}hash"), keys.shared("{big}zset")
    for start in range(0, 5_000, 500):
        pairs = [part for n in range(start, start + 500) for part in (f"f{n}", f"v{n}")]
        link.call(big, b"HSET", big, *pairs)
        link.call(scored, b"ZADD", scored, *[part for n in range(start, start + 500) for part in (n, f"m{n}")])
    link.call(scored, b"ZADD", scored, b"inf", b"last")
    parts = [part for part in snapshot_of(admins).read_parts() if part.key.startswith(b"{big}")]
    assert sum(part.kind == "hash" for part in parts) > 1
    copy = Snapshot(Store(link, Keys("copy")))
    copy.write_parts(parts)
    for name in ("{big}hash", "{big}zset"):
        mine, theirs = keys.shared(name), b"copy:" + name.encode()
        kind = b"HGETALL" if name.endswith("hash") else b"ZRANGE"
        rest = () if name.endswith("hash") else (0, -1, b"WITHSCORES")
        assert sorted(link.call(mine, kind, mine, *rest)) == sorted(link.call(theirs, kind, theirs, *rest))


def test_backup_keeps_expiry_and_omits_keys_about_to_expire(admins: Admins) -> None:
    link, keys = admins.app.service.store.link, admins.app.service.store.keys
    (now,) = link.read([(b"", (b"TIME",))])
    soon, later = keys.shared("{t}soon"), keys.shared("{t}later")
    link.call(soon, b"SET", soon, b"1", b"EX", 60)
    link.call(later, b"SET", later, b"1", b"EXAT", int(now[0]) + 5_000)
    found = {part.key: part.expires for part in snapshot_of(admins).read_parts()}
    assert b"{t}soon" not in found
    assert found[b"{t}later"] == (int(now[0]) + 5_000) * 1000


def test_reader_erased_during_a_backup_is_marked_in_it(admins: Admins, other_admins: Callable[..., Admins]) -> None:
    with_a_past(admins)
    parts = list[SnapshotPart]()
    for part in snapshot_of(admins).read_parts():
        if part.key.endswith(b"}history") and not any(one.key.endswith(b"}history") for one in parts):
            admins.app.service.erased.mark([reader_hash("r-late")], NOW)
        parts.append(part)
    other = other_admins()
    snapshot_of(other).write_parts(parts)
    assert other.app.service.erased.last_erased_at("r-late") == NOW


@pytest.mark.full
def test_backup_beside_a_running_service_loses_no_earlier_change(
    admins: Admins, other_admins: Callable[..., Admins], tmp_path: Path
) -> None:
    """Create and revoke grants during the backup; every restored audit record must verify."""
    service = admins.app.service
    stop, done = threading.Event(), list[str]()

    def busy(number: int) -> None:
        count = 0
        while not stop.is_set():
            reader = f"busy-{number}-{count % 40}"
            wanted = GrantRequest("vip", (), "busy", int(admins.app.clock()), None)
            grant = service.grants.create(reader, wanted, Actor("ann"), admins.app.clock())
            done.append(reader)
            if count % 3 == 0:
                service.grants.revoke(reader, grant.id, "busy", Actor("ann"), admins.app.clock())
            count += 1

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        files = []
        for number in range(5):
            folder = tmp_path / str(number)
            folder.mkdir()
            before = list(done)
            files.append((before, backed_up(admins, folder)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    before, file = files[-1]
    other = other_admins()
    restored(file, other)
    other.app.service.audit.flush_all()
    assert other.app.service.audit_verifier.verify().fault is None
    recorded = {
        record["target"] for record in other.list_all("/v1/audit", limit=100) if record["action"] == "grant.create"
    }
    for reader in set(before):
        grants = other.app.service.grants.list_for_reader(reader)
        assert len(grants) >= before.count(reader) - 1
        assert {grant.id for grant in grants} <= recorded
