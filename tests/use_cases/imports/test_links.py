"""Test imports of links over HTTP: counts, what moves to the readers, undo in any order, merges and erasure."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.admin_app import Admins
from tests.recorded_stripe import Maker
from tests.use_cases.imports.conftest import import_links, link_file, send_links, undo_links
from tests.use_cases.privacy.conftest import holding

COUNTS = ("rows", "new", "changed", "unchanged")


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in COUNTS)


def link(admins: Admins, reader: str, **target: str) -> None:
    admins.call_json("ann", "POST", f"/v1/readers/{reader}/links?force=true", target)


def customers(admins: Admins, reader: str) -> list[str]:
    found: list[str] = admins.app.reader(reader)["customers"]
    return found


def test_dry_run_counts_and_changes_nothing(at_noon: Admins) -> None:
    link(at_noon, "r-1", customer="cus_1")
    link(at_noon, "r-9", customer="cus_2")
    file = link_file("r-1,cus_1", "r-2,cus_2", "r-3,cus_3", "r-3,cus_3")
    found = send_links(at_noon, file, 200, dry_run="true")
    assert (found["id"], found["state"], counts(found), found["errors"]) == (None, "staged", (4, 1, 1, 2), [])
    assert (customers(at_noon, "r-2"), customers(at_noon, "r-9")) == ([], ["cus_2"])


def test_links_of_unknown_and_of_linked_customers_are_in_force_and_undone(at_noon: Admins) -> None:
    link(at_noon, "r-9", customer="cus_2")
    done = import_links(at_noon, "r-1,cus_1", "r-2,cus_2")
    assert (done["state"], counts(done), done["errors"]) == ("done", (2, 1, 1, 0), [])
    assert [customers(at_noon, name) for name in ("r-1", "r-2", "r-9")] == [["cus_1"], ["cus_2"], []]
    assert undo_links(at_noon, done["id"])["undo"] == {"taken_back": 2, "left_alone": 0}
    assert [customers(at_noon, name) for name in ("r-1", "r-2", "r-9")] == [[], [], ["cus_2"]]
    assert [entry["action"] for entry in at_noon.audit()] == ["import.undo", "import.apply", "link"]


@pytest.mark.parametrize(("kind", "target"), [("customer", "cus_1"), ("subscription", "sub_1")])
def test_unassigned_payment_moves_to_the_reader_and_back(at_noon: Admins, make: Maker, kind: str, target: str) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    done = import_links(at_noon, f"r-1,{target}", kind=kind)
    assert at_noon.app.reader("r-1")["access"]
    make.deliver("customer.subscription.updated", make.subscription(reader=None, quantity=2))
    assert at_noon.app.reader("r-1")["access"]
    undo_links(at_noon, done["id"])
    assert not at_noon.app.reader("r-1")["access"]


def test_undo_returns_what_its_metadata_assigns(at_noon: Admins, make: Maker) -> None:
    make.deliver("customer.subscription.created", make.subscription(reader="r-1"))
    done = import_links(at_noon, "r-2,cus_1")
    assert [at_noon.app.reader(name)["access"] for name in ("r-1", "r-2")] == [False, True]
    undo_links(at_noon, done["id"])
    assert [at_noon.app.reader(name)["access"] for name in ("r-1", "r-2")] == [True, False]


def test_link_that_stripe_reports_later_counts(at_noon: Admins, make: Maker) -> None:
    import_links(at_noon, "r-1,sub_1", kind="subscription")
    make.deliver("customer.subscription.created", make.subscription(reader="r-2"))
    assert [at_noon.app.reader(name)["access"] for name in ("r-1", "r-2")] == [True, False]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_imports_are_undone_in_any_order(at_noon: Admins, order: tuple[int, ...]) -> None:
    """After each undo the link is the one of the last import that still counts."""
    link(at_noon, "r-0", customer="cus_1")
    ids = [import_links(at_noon, f"r-{number},cus_1")["id"] for number in (1, 2, 3)]
    left = {1, 2, 3}
    for number in order:
        undo_links(at_noon, ids[number])
        left.remove(number + 1)
        owner = max(left, default=0)
        assert [customers(at_noon, f"r-{other}") for other in range(4)] == [
            ["cus_1"] if other == owner else [] for other in range(4)
        ]


def test_link_by_hand_since_is_left_alone(at_noon: Admins) -> None:
    done = import_links(at_noon, "r-1,cus_1", "r-2,cus_2", "r-3,cus_3")
    link(at_noon, "r-9", customer="cus_1")
    at_noon.call_json("ann", "DELETE", "/v1/readers/r-2/links", {"customer": "cus_2"})
    assert undo_links(at_noon, done["id"])["undo"] == {"taken_back": 1, "left_alone": 2}
    assert [customers(at_noon, name) for name in ("r-9", "r-2", "r-3")] == [["cus_1"], [], []]


def test_merged_reader_in_a_file_is_the_one_who_stays(at_noon: Admins) -> None:
    import_links(at_noon, "r-old,cus_0")
    at_noon.call_json("ann", "POST", "/v1/readers/r-1/merge", {"from": "r-old"})
    import_links(at_noon, "r-old,cus_1")
    assert customers(at_noon, "r-1") == ["cus_0", "cus_1"]
    assert counts(send_links(at_noon, link_file("r-old,cus_1"), 200, dry_run="true")) == (1, 0, 0, 1)


def test_nothing_names_an_erased_reader_and_undo_links_nobody(at_noon: Admins) -> None:
    import_links(at_noon, "gone,cus_1")
    second = import_links(at_noon, "r-2,cus_1")
    third = import_links(at_noon, "gone,cus_3")
    at_noon.call_json("ann", "DELETE", "/v1/readers/gone?reason=asked")
    undo_links(at_noon, second["id"])
    undo_links(at_noon, third["id"])
    assert [customers(at_noon, name) for name in ("r-2", "gone")] == [[], []]
    assert holding(at_noon.app.service.store.link, "gone") == []


@pytest.mark.parametrize(
    ("rows", "line", "field"),
    [
        (["r-1,cus_1", "r-2,cus_1"], 3, "customer"),
        (["r-1,sub_1"], 2, "customer"),
        (["r/1,cus_1"], 2, "reader"),
        (["r-1,cus_1,vip"], 2, "row"),
        ([",".join(["r-1"] * 5_000)], 2, "row"),
        (['"r-\n1",cus_1'], 2, "reader"),
        (["r-1,cus_1", '"r-2,cus_2'], 3, "row"),
    ],
)
def test_wrong_row_is_named_and_nothing_is_linked(at_noon: Admins, rows: list[str], line: int, field: str) -> None:
    problem = send_links(at_noon, link_file(*rows), 422)
    assert [(error["line"], error["field"]) for error in problem["errors"]] == [(line, field)]
    assert (customers(at_noon, "r-1"), at_noon.audit()) == ([], [])


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("reader,customer\nr-1,cus_1\nré,cus_2\n".encode("latin-1"), 3),
        ("reader,customer\nr-1,cus_1\n".encode("utf-16"), 1),
        (b"reader,email\nr-1,a@example.com\n", 1),
    ],
)
def test_file_in_another_encoding_or_with_another_header_is_refused(at_noon: Admins, body: bytes, line: int) -> None:
    problem = send_links(at_noon, body, 422)
    assert [error["line"] for error in problem["errors"]] == [line]


def test_byte_order_mark_semicolons_and_crlf_are_accepted(at_noon: Admins) -> None:
    body = '\ufeffreader;customer\r\n"r-1";cus_1\r\n\r\nr-2;"cus_2"\r\n'.encode()
    assert counts(send_links(at_noon, body, 200, dry_run="true")) == (2, 2, 0, 0)


def test_import_of_links_is_not_found_among_grants(at_noon: Admins) -> None:
    done = import_links(at_noon, "r-1,cus_1")
    at_noon.call_json("ann", "GET", f"/v1/grants/import/{done['id']}", status=404)
    at_noon.call_json("ann", "DELETE", f"/v1/grants/import/{done['id']}?reason=x", status=404)
