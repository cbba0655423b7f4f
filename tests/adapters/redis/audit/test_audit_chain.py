"""Test that `verify` finds the first bad record after any change to the stored audit chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.adapters.redis.audit import chain
from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.audit.chain import Head
from service.adapters.redis.audit.verification import BrokenChain, ChainVerdict
from service.adapters.redis.client.keys import reader_hash
from tests.admin_app import Admins, MakeAdmins
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

DAY = 86_400


class Log:
    """The audit chain of an app, with direct write access to its store."""

    def __init__(self, admins: Admins, records: int = 12) -> None:
        self.service = admins.app.service
        self.link, keys = self.service.store.link, self.service.store.keys
        self.log, self.headkey, self.seen = keys.audit_log, keys.audit_head, keys.audit_seen
        self.grow(records)

    def grow(self, records: int) -> None:
        for number in range(records):
            self.append(reader=f"r{number}", action="grant.create", reason="press card")

    def append(self, *, at: float | None = None, **said: Any) -> None:
        fields = {
            "reader": None,
            "target": None,
            "before": None,
            "after": None,
            "reason": None,
            "action": "link",
            **said,
        }
        now = self.service.clock() if at is None else at
        self.service.audit.append([audit_entry(Actor("ann", "192.0.2.1"), fields.pop("action"), now=now, **fields)])

    def verify(self, known: Head | None = None) -> ChainVerdict:
        return self.service.audit_verifier.verify(known)

    def first_bad(self, known: Head | None = None) -> int | None:
        fault = self.verify(known).fault
        return fault.seq if fault else None

    def head(self) -> Head:
        return self.service.audit_log.state().head

    def get(self, seq: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.link.call(self.log, b"HGET", self.log, seq))
        return found

    def put(self, seq: int | str, record: Any) -> None:
        text = record if isinstance(record, bytes) else chain.pack(record)
        self.link.call(self.log, b"HSET", self.log, seq, text)

    def drop(self, *seqs: int) -> None:
        self.link.call(self.log, b"HDEL", self.log, *seqs)

    def set_head(self, **fields: Any) -> None:
        for name, value in fields.items():
            self.link.call(self.headkey, b"HSET", self.headkey, name, str(value))

    def move_up(self, first: int) -> None:
        """Make room at `first` and renumber the later records."""
        for seq in range(self.head().seq, first - 1, -1):
            self.put(seq + 1, {**self.get(seq), "seq": seq + 1})
        self.set_head(seq=self.head().seq + 1)

    def close_gap(self, gone: int) -> None:
        """Drop a record and renumber the later ones."""
        last = self.head().seq
        for seq in range(gone, last):
            self.put(seq, {**self.get(seq + 1), "seq": seq})
        self.drop(last)
        self.set_head(seq=last - 1)


@pytest.fixture
def log(admins: Admins) -> Log:
    return Log(admins)


def test_untouched_chain_verifies(log: Log) -> None:
    verdict = log.verify(log.head())
    assert (verdict.fault, verdict.checked, verdict.refused) == (None, 12, 0)
    assert verdict.head == log.head()


def test_empty_chain_verifies(admins: Admins) -> None:
    assert Log(admins, 0).verify().fault is None


def test_changed_field_is_detected_at_its_record(log: Log) -> None:
    record = log.get(5)
    for field in (*chain.CONTENT, "digest", "prev", "hash", "seq", "id"):
        other = {"plan": "other"} if field in ("before", "after") else 99 if field == "seq" else f"{record[field]}x"
        log.put(5, {**record, field: other})
        assert log.first_bad() == 5, field
    log.put(5, record)
    assert log.first_bad() is None


@pytest.mark.parametrize("seq", [2, 5])
def test_any_changed_byte_of_a_record_is_detected(log: Log, seq: int) -> None:
    """Change every byte: also in the name of an empty field, between fields, in an added field and in an erased record."""
    assert log.service.audit_erasure.erase(["r1"], {}, None, Actor("ann"), 0) == 1
    text = chain.pack(log.get(seq))
    others = [text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :] for at in range(len(text))]
    others += [text.replace(b",", b", ", 1), text[:-1] + b',"note":"more"}', text.replace(b"{", b'{"actor":"eve",', 1)]
    for other in others:
        log.put(seq, other)
        assert log.first_bad() == seq, other
    log.put(seq, text)
    assert log.first_bad() is None


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"seq":1,"reason":"\\ud800"}', b'{"seq":1,"reason":"\xff"}', b"null", b"1e999"],
    ids=["deep", "half a character", "no text", "null", "number"],
)
def test_unreadable_record_is_detected_and_listed_by_its_number(log: Log, admins: Admins, text: bytes) -> None:
    log.put(5, text)
    assert log.first_bad() == 5
    listed = {record["seq"]: record for record in admins.audit()}
    assert (sorted(listed), listed[5]["reason"]) == (list(range(1, 13)), None)


@pytest.mark.parametrize("number", [b"1.0", b"true"])
def test_number_of_another_json_type_is_detected(log: Log, number: bytes) -> None:
    log.put(1, chain.pack(log.get(1)).replace(b'"seq":1,', b'"seq":%b,' % number))
    assert log.first_bad() == 1


@pytest.mark.parametrize("which", ["log", "headkey"])
def test_wrong_store_type_of_the_log_is_detected(log: Log, which: str) -> None:
    key = getattr(log, which)
    log.link.call(key, b"DEL", key)
    log.link.call(key, b"SET", key, b"x")
    assert log.first_bad() == 1


Tamper = Callable[[Log], None]


def changed_twice(log: Log) -> None:
    log.put(9, {**log.get(9), "reason": "other"})
    log.put(4, {**log.get(4), "actor": "eve"})


def swapped(log: Log) -> None:
    third, seventh = log.get(3), log.get(7)
    log.put(3, seventh)
    log.put(7, third)


def swapped_and_renumbered(log: Log) -> None:
    third, seventh = log.get(3), log.get(7)
    log.put(3, {**seventh, "seq": 3})
    log.put(7, {**third, "seq": 7})


def put_in_a_copy(log: Log) -> None:
    log.move_up(6)
    log.put(6, {**log.get(2), "seq": 6})


def appended_a_copy(log: Log) -> None:
    log.put(13, {**log.get(2), "seq": 13, "prev": log.get(12)["hash"]})


def appended_with_the_head(log: Log) -> None:
    log.put(13, {**log.get(2), "seq": 13, "prev": log.get(12)["hash"]})
    log.set_head(seq=13, hash=log.get(2)["hash"])


def cut_with_the_head(log: Log) -> None:
    log.drop(11, 12)


def cut_at_the_front(log: Log) -> None:
    log.drop(1, 2, 3)
    log.set_head(first=4)


def without_content(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as a former release emptied it."""
    return {**record, **dict.fromkeys(("id", *chain.CONTENT))}


def emptied(log: Log) -> None:
    log.put(8, without_content(log.get(8)))


def no_json(log: Log) -> None:
    log.put(4, b"{")


def no_number(log: Log) -> None:
    log.put("x", b"{}")


def all_dropped(log: Log) -> None:
    log.drop(*range(1, 13))


def head_behind(log: Log) -> None:
    log.set_head(seq=9, hash=log.get(9)["hash"])


def head_gone(log: Log) -> None:
    log.link.call(log.headkey, b"DEL", log.headkey)


def head_hash(log: Log) -> None:
    log.set_head(hash="0" * 64)


def head_far_ahead(log: Log) -> None:
    log.set_head(seq=10**12)


def head_no_number(log: Log) -> None:
    log.set_head(seq="many")


def forged_checkpoint(log: Log) -> None:
    log.drop(1, 2, 3)
    log.set_head(checkpoint=json.dumps({"first": 4, "prev": log.get(4)["prev"], "at": None, "mark": "0" * 64}))


def broken_checkpoint(log: Log) -> None:
    log.set_head(checkpoint="?")


TAMPERED: list[tuple[Tamper, int]] = [
    (changed_twice, 4),
    (swapped, 3),
    (swapped_and_renumbered, 3),
    (lambda log: log.drop(6), 6),
    (lambda log: log.close_gap(6), 6),
    (lambda log: log.drop(1), 1),
    (put_in_a_copy, 6),
    (appended_a_copy, 13),
    (appended_with_the_head, 13),
    (cut_with_the_head, 11),
    (cut_at_the_front, 1),
    (emptied, 8),
    (no_json, 4),
    (no_number, 13),
    (all_dropped, 1),
    (head_behind, 10),
    (head_gone, 1),
    (head_hash, 12),
    (head_far_ahead, 13),
    (head_no_number, 1),
    (forged_checkpoint, 4),
    (broken_checkpoint, 1),
]


@pytest.mark.full
@pytest.mark.parametrize(("tamper", "first"), TAMPERED, ids=[getattr(t, "__name__", "") + str(n) for t, n in TAMPERED])
def test_tampering_is_detected_at_the_first_bad_record(log: Log, tamper: Tamper, first: int) -> None:
    tamper(log)
    assert log.first_bad() == first


def test_truncated_chain_is_detected_by_a_known_head(log: Log) -> None:
    known = log.head()
    log.drop(11, 12)
    log.set_head(seq=10, hash=log.get(10)["hash"])
    assert log.first_bad() is None
    assert log.first_bad(known) == 11


def test_truncated_and_regrown_chain_is_detected_by_a_known_head(log: Log) -> None:
    known = log.head()
    log.drop(10, 11, 12)
    log.set_head(seq=9, hash=log.get(9)["hash"])
    log.grow(5)
    assert log.first_bad() is None
    assert log.first_bad(known) == 12


def test_deleted_chain_is_detected_by_a_known_head(log: Log) -> None:
    known = log.head()
    log.link.call(log.log, b"DEL", log.log)
    log.link.call(log.headkey, b"DEL", log.headkey)
    assert log.first_bad(known) == 1


def test_record_signed_with_another_secret_is_detected(log: Log, make_admins: MakeAdmins) -> None:
    stranger = Log(make_admins(PAYWALL_SECRETS="another-secret-0123456789abcdef01"), 0)
    stranger.append(reader="r-9", action="grant.create", reason="forged")
    assert log.first_bad() == 13


def test_records_signed_with_a_rotated_secret_verify(log: Log, make_admins: MakeAdmins) -> None:
    rotated = Log(
        make_admins(PAYWALL_SECRETS=f"the-new-secret-0123456789abcdef01,{log.service.settings.secrets[0]}"), 3
    )
    assert rotated.verify(rotated.head()).fault is None
    assert log.first_bad() == 13  # without the new secret the record is invalid


def test_forged_outbox_entry_is_refused(log: Log) -> None:
    written = audit_entry(
        Actor("ann"), "grant.create", now=0, reader="r-9", target=None, before=None, after=None, reason="forged"
    )
    outbox = log.service.store.keys.outbox(b"admin")
    for text in (chain.pack(written), b"0" * 64 + b" " + chain.pack(written), b"nonsense"):
        log.link.call(outbox, b"RPUSH", outbox, text)
    assert log.service.audit.flush_all() == 0
    verdict = log.verify()
    assert (verdict.fault, verdict.checked, verdict.refused) == (None, 12, 3)
    assert log.link.call(outbox, b"LLEN", outbox) == 0


def test_entry_that_a_process_without_the_secret_refused_is_readmitted(log: Log, make_admins: MakeAdmins) -> None:
    """During an upgrade or a rotation, one process can lack the keys with which another has signed."""
    written = audit_entry(Actor("ann"), "link", now=0, reader="r-9", target=None, before=None, after=None, reason=None)
    outbox, audit = log.service.store.keys.outbox(b"admin"), log.service.audit
    log.link.call(outbox, b"RPUSH", outbox, audit.sign_entry(written), b"0" * 64 + b" " + chain.pack(written))
    other = make_admins(PAYWALL_SECRETS="another-secret-0123456789abcdef01").app.service
    other.audit.flush_all()
    assert log.verify().refused == 2
    log.service.maintenance.settle(log.service.clock())
    verdict = log.verify()
    assert (verdict.fault, verdict.checked, verdict.refused) == (None, 13, 1)
    assert log.get(13)["id"] == written["id"]
    assert audit.readmit_refused() == 0


def test_duplicate_entry_is_ignored_and_detected_if_appended(log: Log) -> None:
    written = audit_entry(Actor("ann"), "link", now=0, reader=None, target=None, before=None, after=None, reason=None)
    log.service.audit.append([written])
    log.service.audit.append([written])
    assert log.verify().checked == 13
    log.link.call(log.seen, b"DEL", log.seen)
    log.service.audit.append([written])
    assert log.first_bad() == 14


@pytest.mark.parametrize("tamper", [head_gone, head_behind, head_no_number])
def test_appending_after_a_tampered_head_destroys_no_record(log: Log, tamper: Tamper) -> None:
    tamper(log)
    log.grow(2)
    assert log.verify().fault is None
    assert log.verify().checked == 14


def test_appending_after_an_inserted_record_keeps_the_evidence(log: Log) -> None:
    appended_a_copy(log)
    log.grow(2)
    assert log.first_bad() == 13


# ------------------------------------------------------------------------------------------------ checkpoints, erasure


def test_pruned_chain_verifies_from_its_checkpoint(log: Log) -> None:
    now = log.service.clock()
    check = log.service.audit_verifier
    for number in range(3):
        log.append(at=now + 500 * DAY, reason=f"later {number}")
    known = log.head()
    assert check.prune(now + 100 * DAY, now + 500 * DAY) == 12
    assert check.load_chain_start().first == 13
    verdict = log.verify(known)
    assert (verdict.fault, verdict.checked) == (None, 3)
    log.grow(1)
    assert log.verify(known).fault is None
    assert check.prune(now + 100 * DAY, now) == 0


def test_newest_record_survives_pruning(log: Log) -> None:
    now = log.service.clock()
    assert log.service.audit_verifier.prune(now + 900 * DAY, now) == 11
    assert log.verify().checked == 1
    log.grow(3)
    assert log.verify().fault is None


def pruned(log: Log) -> None:
    now = log.service.clock()
    log.append(at=now + 500 * DAY)
    log.append(at=now + 500 * DAY)
    log.service.audit_verifier.prune(now + 100 * DAY, now)


def test_record_dropped_after_a_checkpoint_is_detected(log: Log) -> None:
    pruned(log)
    log.drop(13)
    assert log.first_bad() == 13


def test_dropped_checkpoint_is_detected(log: Log) -> None:
    pruned(log)
    log.link.call(log.headkey, b"HDEL", log.headkey, b"checkpoint")
    assert log.first_bad() == 1


def test_restored_old_checkpoint_is_detected(log: Log) -> None:
    now = log.service.clock()
    log.append(at=now + 500 * DAY)
    log.append(at=now + 900 * DAY)
    check = log.service.audit_verifier
    check.prune(now + 100 * DAY, now)
    old = log.link.call(log.headkey, b"HGET", log.headkey, b"checkpoint")
    check.prune(now + 600 * DAY, now)
    log.set_head(checkpoint=bytes(old).decode())
    assert log.first_bad() == 13


def test_record_inserted_before_the_checkpoint_is_detected(log: Log) -> None:
    third = log.get(3)
    pruned(log)
    log.put(3, third)
    assert log.first_bad() == 3


def test_broken_chain_is_not_pruned(log: Log) -> None:
    log.put(2, {**log.get(2), "actor": "eve"})
    with pytest.raises(BrokenChain, match="Record 2 was changed"):
        log.service.audit_verifier.prune(log.service.clock() + DAY, log.service.clock())
    assert log.link.call(log.log, b"HLEN", log.log) == 12


def test_erased_reader_leaves_a_valid_chain_with_an_erasure_record(log: Log) -> None:
    log.append(reader="r3", action="merge", target="old-r3", reason="one person")
    log.append(reader="r8", action="link", reason="the card of r3, again")
    known = log.head()
    erased = log.service.audit_erasure.erase(["r3"], {"sources": 2}, "asked by r3.", Actor("ann"), log.service.clock())
    assert erased == 3
    assert log.verify(known).fault is None
    record = log.get(15)
    assert (record["action"], record["reader"], record["reason"]) == ("reader.erase", None, "asked by (erased).")
    assert record["after"] == {"sources": 2, "redacted": [[4, 4], [13, 14]]}
    assert log.verify().redacted == 3
    kept = [bytes(text).decode() for text in log.link.call(log.log, b"HVALS", log.log)]
    assert not any('"r3"' in text or "r3," in text for text in kept)
    own, _, mention = (log.service.audit_log.load_records([seq])[0] for seq in (4, 13, 14))
    assert (own["reader"], own["actor"], own["action"], own["reason"]) == (None, "ann", "grant.create", "press card")
    assert (mention["reader"], mention["reason"]) == ("r8", "the card of (erased), again")
    log.put(5, without_content(log.get(5)))
    assert log.first_bad() == 5


def test_record_that_lost_more_than_an_erasure_removed_is_detected(log: Log) -> None:
    log.append(reader="r8", action="link", reason="the card of r3, again")
    log.service.audit_erasure.erase(["r3"], {}, None, Actor("ann"), 0)
    for seq in (4, 13):
        left = log.get(seq)
        for other in (
            without_content(left),
            {**left, "reason": None},
            {**left, "actor": "eve"},
            {**left, "erasure": log.get(2)["id"]},
            {name: value for name, value in left.items() if name not in chain.ERASURE_FIELDS},
        ):
            log.put(seq, other)
            assert log.first_bad() == seq, other
        log.put(seq, left)
    assert log.first_bad() is None
    log.put(5, {**log.get(5), **{name: log.get(4)[name] for name in chain.ERASURE_FIELDS}})
    assert log.first_bad() == 5


def test_erasure_does_not_hide_an_earlier_fault(log: Log) -> None:
    log.put(7, {**log.get(7), "reason": "for r3"})
    log.service.audit_erasure.erase(["r3"], {}, None, Actor("ann"), 0)
    assert log.get(7)["reason"] == "for (erased)"
    assert log.first_bad() == 7


def test_two_erasures_redact_one_record(log: Log) -> None:
    log.append(reader="r8", action="merge", target="old-r8", reason="as r3 asked")
    for names in (["r3"], ["r8", "old-r8"]):
        log.service.audit_erasure.erase(names, {}, None, Actor("ann"), 0)
    record = log.get(13)
    assert (record["reader"], record["target"], record["reason"]) == (None, None, "as (erased) asked")
    assert log.verify().fault is None


def test_erasure_record_that_is_gone_is_missed(log: Log) -> None:
    log.service.audit_erasure.erase(["r3"], {}, None, Actor("ann"), 0)
    log.drop(13)
    log.set_head(seq=12, hash=log.get(12)["hash"])
    assert log.first_bad() == 4


def test_records_emptied_by_a_former_release_verify(log: Log) -> None:
    log.append(action="reader.erase", after={"sources": 1, "audit": [[5, 6]]})
    for seq in (5, 6):
        log.put(seq, without_content(log.get(seq)))
    assert log.first_bad() is None
    log.put(7, without_content(log.get(7)))
    assert log.first_bad() == 7


def test_reader_with_a_short_id_is_erased_alone(log: Log) -> None:
    log.append(reader="7", reason="of 2027-01-07, for 17 days")
    log.append(reader="8", reason="of 2027-01-07, for 17 days")
    assert log.service.audit_erasure.erase(["7"], {}, None, Actor("ann"), 0) == 1


def test_verify_succeeds_while_the_chain_grows_and_is_pruned(log: Log, all_at_once: Callable[..., list[Any]]) -> None:
    def work(number: int) -> int | None:
        if number == 0:
            log.service.audit_verifier.prune(log.service.clock() + 100 * DAY, 0)
        elif number % 2:
            log.grow(10)
        return log.first_bad()

    assert set(all_at_once(6, work)) == {None}
    assert log.head().seq == 42


# ------------------------------------------------------------------------------------------------------ no entry is lost


def test_settling_between_intent_and_change_loses_no_entry(admins: Admins) -> None:
    """A process that dies after the change leaves an entry. An earlier settling must not remove its intent."""
    service, clock = admins.app.service, admins.app.clock
    service.audit.announce_at(reader_hash("r-1"))
    service.audit.flush_all()
    written = audit_entry(Actor("ann"), "link", now=0, reader="r-1", target=None, before=None, after=None, reason=None)
    outbox = service.store.keys.outbox(reader_hash("r-1"))
    service.store.link.call(outbox, b"RPUSH", outbox, service.audit.sign_entry(written))
    assert service.audit.flush_all() == 1
    assert service.store.link.call(service.store.keys.audit_intents, b"SCARD", service.store.keys.audit_intents) == 1
    clock.now += 61
    assert service.audit.flush_all() == 0
    assert service.store.link.call(service.store.keys.audit_intents, b"SCARD", service.store.keys.audit_intents) == 0


def test_changes_leave_no_audit_intents(admins: Admins) -> None:
    for number in range(5):
        admins.grant(f"r-{number}")
    admins.make_key("desk", "viewer")
    keys = admins.app.service.store.keys
    assert admins.app.service.store.link.call(keys.audit_intents, b"SCARD", keys.audit_intents) == 0
    assert len(admins.audit()) == 6


def test_concurrent_changes_are_recorded_once_and_in_order(
    admins: Admins, all_at_once: Callable[..., list[Any]]
) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            admins.grant(f"r-{(number + turn) % 3}", who=("ann", "ben", "cyd")[number % 3])
            if turn == 5:
                admins.app.service.audit.flush_all()

    all_at_once(6, work)
    verdict = admins.app.service.audit_verifier.verify()
    assert (verdict.fault, verdict.checked) == (None, 60)
    assert sum(len(admins.app.service.audit_log.list_for_reader(f"r-{n}")) for n in range(3)) == 60


# ------------------------------------------------------------------------------------------------- text that is not ASCII


@pytest.mark.parametrize("field", ["digest", "hash", "prev"])
def test_mark_that_is_not_ascii_is_detected_at_its_record(log: Log, field: str) -> None:
    log.put(5, {**log.get(5), field: "é" * 64})
    assert log.first_bad() == 5
    with pytest.raises(BrokenChain, match="Record 5 "):
        log.service.audit_verifier.prune(log.service.clock() + DAY, log.service.clock())


def test_checkpoint_with_a_mark_that_is_not_ascii_is_detected(log: Log) -> None:
    log.set_head(checkpoint=json.dumps({"first": 1, "prev": "0" * 64, "at": None, "mark": "é"}))
    assert log.first_bad() == 1


@pytest.mark.parametrize("mark", ["é" * 64, "\udcff", "…"], ids=["letters", "no UTF-8", "sign"])
def test_foreign_outbox_entry_that_is_not_ascii_stops_no_change(admins: Admins, mark: str) -> None:
    service = admins.app.service
    outbox = service.store.keys.outbox(b"admin")
    service.store.link.call(outbox, b"RPUSH", outbox, mark.encode("utf-8", "surrogateescape") + b" {}")
    admins.make_key("desk", "viewer")
    assert [record["action"] for record in admins.audit()] == ["key.create"]
    verdict = service.audit_verifier.verify()
    assert (verdict.fault, verdict.checked, verdict.refused) == (None, 1, 1)


def test_change_whose_entry_cannot_be_written_does_not_happen(admins: Admins) -> None:
    service = admins.app.service
    for outbox in (service.store.keys.outbox(b"admin"), service.store.keys.outbox(reader_hash("r-1"))):
        service.store.link.call(outbox, b"SET", outbox, b"no list")
    assert admins.call("ann", "POST", "/v1/keys", {"name": "desk", "role": "owner"}).status_code == 500
    assert [key["name"] for key in admins.call_json("ann", "GET", "/v1/keys")["items"] if key["name"] == "desk"] == []
    body = {"plan": "vip", "reason": "press card", "until": None}
    assert admins.call("ann", "POST", "/v1/readers/r-1/grants", body).status_code == 500
    assert admins.app.reader("r-1")["sources"] == []


def test_change_is_recorded_while_the_log_is_of_another_type(log: Log, admins: Admins) -> None:
    text = log.link.call(log.headkey, b"DUMP", log.headkey)
    log.link.call(log.headkey, b"DEL", log.headkey)
    log.link.call(log.headkey, b"SET", log.headkey, b"x")
    admins.make_key("desk", "viewer")
    log.link.call(log.headkey, b"RESTORE", log.headkey, 0, text, b"REPLACE")
    assert log.service.audit.flush_all() == 1
    assert (log.verify().fault, log.get(13)["target"]) == (None, "desk")
