"""Test the link, merge and seat commands and their audit entries."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import WITH_GROUPS, Paywall, Serve
from tests.stripe_fixtures import PRICE, SECRET, Made

pytestmark = pytest.mark.full

SEAT: dict[str, Any] = {**PRICE, "id": "price_seat_month", "lookup_key": None, "product": "prod_newsroom"}

Sold = Callable[..., None]


@pytest.fixture
def service(serve: Serve, valkey_url: str) -> Paywall:
    return serve(WITH_GROUPS, REDIS_URL=valkey_url, PAYWALL_WORKERS="1", STRIPE_WEBHOOK_SECRETS=SECRET)


@pytest.fixture
def sold(service: Paywall) -> Sold:
    """Deliver a subscription event."""

    def deliver(subscription: str, price: dict[str, Any] = PRICE, quantity: int = 1, **metadata: str) -> None:
        bought = Made.subscription(id=subscription, metadata=metadata, customer=f"cus_{subscription}")
        bought["items"]["data"][0] |= {"price": price, "quantity": quantity, "current_period_end": 4_000_000_000}
        service.deliver(Made.event("customer.subscription.updated", bought, id=f"evt_{subscription}"))

    return deliver


def entries(service: Paywall, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(f"/v1/audit?action={action}").json()["items"]
    return found


def test_link_command_overrides_the_metadata(service: Paywall, sold: Sold) -> None:
    sold("sub_1", reader_id="r-1")
    answer = service.checked_json("readers", "link", "r-2", "--subscription", "sub_1", "--reason", "wrong account")
    assert answer == {"reader": "r-2", "subscription": "sub_1", "was": "r-1"}
    assert (service.reader("r-1")["access"], service.reader("r-2")["access"]) == (False, True)
    (entry,) = entries(service, "link")
    assert entry["actor"].startswith("cli:")
    assert (entry["from_ip"], entry["reason"], entry["target"]) == (None, "wrong account", "sub_1")
    assert (entry["before"], entry["after"]) == ({"reader": "r-1"}, {"reader": "r-2"})
    text = service.checked("readers", "link", "r-3", "--customer", "cus_later").stdout
    assert text == "cus_later is r-3's now.\n"
    service.checked("readers", "link", "r-3", status=2)
    service.checked("readers", "link", "r-3", "--customer", "{0", status=2)
    service.checked("readers", "link", "r-3", "--subscription", "cus_1", status=2)
    service.checked("readers", "link", "r-3", "--customer", "cus_1", "--subscription", "sub_1", status=2)


def test_unlink_command_returns_it_to_the_reader_in_metadata(service: Paywall, sold: Sold) -> None:
    sold("sub_1", reader_id="r-1")
    service.checked("readers", "link", "r-2", "--subscription", "sub_1")
    assert service.checked_json("readers", "unlink", "r-2", "--subscription", "sub_1") == {
        "reader": "r-2",
        "subscription": "sub_1",
    }
    assert (service.reader("r-1")["access"], service.reader("r-2")["access"]) == (True, False)
    assert "not linked" in service.checked("readers", "unlink", "r-2", "--subscription", "sub_1", status=1).stderr
    service.checked("readers", "unlink", "r-2", status=2)


def test_merge_command_moves_sources_and_is_audited(service: Paywall, sold: Sold) -> None:
    sold("sub_1", reader_id="r-old")
    assert service.checked_json("readers", "merge", "r-new", "--from", "r-old", "--reason", "one person") == {
        "reader": "r-new",
        "from": "r-old",
    }
    assert service.reader("r-new")["sources"] == service.reader("r-old")["sources"] != []
    (entry,) = entries(service, "merge")
    assert (entry["reader"], entry["target"], entry["reason"]) == ("r-new", "r-old", "one person")
    assert "merged" in service.checked("readers", "merge", "r-new", "--from", "r-new", status=1).stderr
    assert "merged" in service.checked("readers", "merge", "r-old", "--from", "r-new", status=1).stderr
    service.checked("readers", "merge", "r-new", "--from", "r-old", "--reason", " ", status=1)
    service.checked("readers", "merge", "r-new", status=2)


def test_seats_commands_assign_list_and_remove_seats(service: Paywall, sold: Sold) -> None:
    sold("sub_g", SEAT, 1)
    sold("sub_1", reader_id="r-1")
    given = service.checked_json("seats", "give", "sub_g", "r-2")
    assert (
        given == service.get("/v1/subscriptions/sub_g/seats").json() == service.checked_json("seats", "list", "sub_g")
    )
    assert [seat["reader"] for seat in given["seats"]] == ["r-2"]
    assert service.reader("r-2")["access"] is True
    assert "seats are assigned" in service.checked("seats", "give", "sub_g", "r-3", status=1).stderr
    assert "no plan with seats" in service.checked("seats", "give", "sub_1", "r-3", status=1).stderr
    assert "knows this subscription" in service.checked("seats", "list", "sub_no", status=1).stderr
    text = service.checked("seats", "take", "sub_g", "r-2", "--reason", "left us").stdout
    assert text == "sub_g: 0 of 1 seats assigned\n"
    assert [entry["reason"] for entry in entries(service, "seat.take")] == ["left us"]
    assert service.reader("r-2")["access"] is False


def test_commands_take_dates_and_spans(service: Paywall, tmp_path: Path) -> None:
    given = service.checked_json(
        "grants", "add", "--reader", "r-d", "--plan", "vip", "--reason", "x", "--until", "2098-01-01"
    )
    assert given["until"] == "2098-01-02T05:00:00Z", "the end of that day in New York"
    changed = service.checked_json(
        "grants", "change", "--reader", "r-d", "--reason", "x", "--until", "30d", given["id"]
    )
    span = datetime.fromisoformat(changed["until"]).timestamp() - time.time()
    assert 29.9 * 86_400 < span <= 30 * 86_400
    later = service.checked_json(
        *["grants", "add", "--reader", "r-e", "--plan", "vip", "--reason", "x"],
        "--no-end",
        "--from",
        "2098-01-01",
    )
    assert (later["from"], later["status"]) == ("2098-01-01T05:00:00Z", "scheduled")
    assert service.checked_json("readers", "show", "r-e", "--at", "2098-01-02")["access"]
    assert not service.checked_json("readers", "show", "r-d", "--at", "31d")["access"]
    service.checked("grants", "change", "--reader", "r-d", "--reason", "x", "--until", "0d", given["id"], status=2)
    made = service.checked_json("passes", "add", "--story", "s-1", "--openings", "2", "--until", "12h", "--reason", "x")
    assert 0 < datetime.fromisoformat(made["until"]).timestamp() - time.time() <= 12 * 3_600
    for typed, readers in [("2098-01-01", ["r-d"]), ("29d", []), ("31d", ["r-d"])]:
        listed = service.checked_json("grants", "list", "--ends-before", typed)["items"]
        assert [grant["reader"] for grant in listed] == readers, typed
    strict = {"plan": "vip", "reason": "x", "until": "2098-01-01"}
    assert service.post("/v1/readers/r-d/grants", strict, service.admin).status_code == 422


def test_import_template_is_imported_as_it_is(service: Paywall, tmp_path: Path) -> None:
    file = tmp_path / "grants.csv"
    file.write_text(service.checked("grants", "import", "--template").stdout)
    found = service.checked_json("grants", "import", str(file), "--dry-run")
    assert (found["rows"], found["new"], found["errors"]) == (1, 1, [])
    service.checked("grants", "import", status=2)
