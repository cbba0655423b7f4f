"""Test the owner of a Stripe object: the contract's order of evidence, and unassigned objects."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.ownership import ORDER, UNASSIGNED, Owner, is_reader_id, resolve_owner
from service.domain.stripe_facts import OwnerClaims


def test_each_owner_evidence_yields_to_every_better_one() -> None:
    """The contract's order is: link, gift, own, session, reference, customer, last."""
    for present in itertools.product([False, True], repeat=len(ORDER) - 1):
        has = dict(zip(ORDER, present, strict=False))
        own = OwnerClaims(gift_recipient="gift" if has["gift"] else None, reader_id="own" if has["own"] else None)
        session = OwnerClaims(
            reader_id="session" if has["session"] else None,
            client_reference_id="reference" if has["reference"] else None,
        )
        found = resolve_owner(
            own,
            link="link" if has["link"] else None,
            sessions=[session],
            customer=OwnerClaims(reader_id="customer") if has["customer"] else None,
            last=Owner("last", "last") if has["last"] else UNASSIGNED,
        )
        best = next((how for how in ORDER if has.get(how)), None)
        assert found.reader == best
        assert found.how == (best or "unassigned")
        assert found.as_gift == has["gift"]


def test_own_reference_of_a_session_counts_after_its_metadata() -> None:
    assert resolve_owner(OwnerClaims(client_reference_id="r-1")) == Owner("r-1", "reference")
    assert resolve_owner(OwnerClaims(reader_id="r-2", client_reference_id="r-1")) == Owner("r-2", "own")


@pytest.mark.parametrize("how", ["link", "gift", "own", "session"])
def test_reference_never_replaces_an_owner_known_by_better_evidence(how: str) -> None:
    last = Owner("r-1", how)  # type: ignore[arg-type] # one of the words above
    assert resolve_owner(OwnerClaims(client_reference_id="thief"), last=last) == last


@pytest.mark.parametrize("how", ["reference", "customer", "last"])
def test_reference_replaces_an_owner_known_by_weaker_evidence(how: str) -> None:
    last = Owner("r-1", how)  # type: ignore[arg-type] # one of the words above
    assert resolve_owner(OwnerClaims(client_reference_id="r-2"), last=last) == Owner("r-2", "reference")


def test_gift_belongs_to_its_recipient_not_to_the_payer() -> None:
    assert resolve_owner(OwnerClaims(gift_recipient="r-2", reader_id="r-1")) == Owner("r-2", "gift", True)
    assert resolve_owner(OwnerClaims(reader_id="r-1"), sessions=[OwnerClaims(gift_recipient="r-2")]) == Owner(
        "r-2", "gift", True
    )


def test_pending_gift_is_unassigned_until_linked() -> None:
    pending = OwnerClaims(gift_pending=True, reader_id="r-1")
    assert resolve_owner(pending, customer=OwnerClaims(reader_id="r-1"), last=Owner("r-1", "own")) == UNASSIGNED
    assert resolve_owner(OwnerClaims(reader_id="r-1"), sessions=[OwnerClaims(gift_pending=True)]) == UNASSIGNED
    assert resolve_owner(pending, link="r-2") == Owner("r-2", "link")
    assert resolve_owner(OwnerClaims(gift_pending=True, gift_recipient="r-2")).reader == "r-2"


def test_gift_with_invalid_recipient_is_not_the_payers() -> None:
    assert resolve_owner(OwnerClaims(gift_recipient="a/b", reader_id="r-1")).reader is None


@pytest.mark.parametrize(
    "word",
    [
        "",
        " r",
        "r ",
        "a/b",
        "a\x00b",
        "a\nb",
        "\u202er",
        "r\u2066",
        "a\u2028b",
        "\ud800",
        "x" * 129,
        "é" * 65,
        "\u00a0r",
    ],
)
def test_invalid_reader_id_gives_no_owner_and_no_error(word: str) -> None:
    assert not is_reader_id(word)
    assert resolve_owner(OwnerClaims(reader_id=word)) == UNASSIGNED
    assert resolve_owner(OwnerClaims(reader_id=word), customer=OwnerClaims(reader_id="r-1")) == Owner("r-1", "customer")


@pytest.mark.parametrize("word", ["r", "r-1", "x" * 128, "é" * 64, "Robin Reader", "読者", "a.b@c:d?e=%2F"])
def test_valid_reader_id_is_taken_unchanged(word: str) -> None:
    assert is_reader_id(word)


@given(st.text())
def test_random_text_is_a_reader_id_or_no_owner(word: str) -> None:
    assert resolve_owner(OwnerClaims(reader_id=word)).reader in (word, None)
