"""Whose an object is: the contract's order, and who is nobody."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.ownership import NOBODY, ORDER, Owner, is_reader_id, owner_of
from service.domain.stripe_facts import Claims


def test_each_means_gives_way_to_every_better_one() -> None:
    """Read as the contract's sentence: link, gift, own, session, reference, customer, last."""
    for present in itertools.product([False, True], repeat=len(ORDER) - 1):
        has = dict(zip(ORDER, present, strict=False))
        own = Claims(gift_recipient="gift" if has["gift"] else None, reader_id="own" if has["own"] else None)
        session = Claims(
            reader_id="session" if has["session"] else None,
            client_reference_id="reference" if has["reference"] else None,
        )
        found = owner_of(
            own,
            link="link" if has["link"] else None,
            sessions=[session],
            customer=Claims(reader_id="customer") if has["customer"] else None,
            last=Owner("last", "last") if has["last"] else NOBODY,
        )
        best = next((how for how in ORDER if has.get(how)), None)
        assert found.reader == best
        assert found.how == (best or "nobody")
        assert found.as_gift == has["gift"]


def test_of_a_session_its_own_reference_counts_after_its_own_metadata() -> None:
    assert owner_of(Claims(client_reference_id="r-1")) == Owner("r-1", "reference")
    assert owner_of(Claims(reader_id="r-2", client_reference_id="r-1")) == Owner("r-2", "own")


@pytest.mark.parametrize("how", ["link", "gift", "own", "session"])
def test_a_reference_never_displaces_an_owner_known_by_better_means(how: str) -> None:
    last = Owner("r-1", how)  # type: ignore[arg-type] # one of the words above
    assert owner_of(Claims(client_reference_id="thief"), last=last) == last


@pytest.mark.parametrize("how", ["reference", "customer", "last"])
def test_a_reference_displaces_an_owner_known_by_no_better_means(how: str) -> None:
    last = Owner("r-1", how)  # type: ignore[arg-type] # one of the words above
    assert owner_of(Claims(client_reference_id="r-2"), last=last) == Owner("r-2", "reference")


def test_a_gift_is_its_recipients_and_not_the_payers() -> None:
    assert owner_of(Claims(gift_recipient="r-2", reader_id="r-1")) == Owner("r-2", "gift", True)
    assert owner_of(Claims(reader_id="r-1"), sessions=[Claims(gift_recipient="r-2")]) == Owner("r-2", "gift", True)


def test_a_pending_gift_is_nobodys_until_it_is_linked() -> None:
    pending = Claims(gift_pending=True, reader_id="r-1")
    assert owner_of(pending, customer=Claims(reader_id="r-1"), last=Owner("r-1", "own")) == NOBODY
    assert owner_of(Claims(reader_id="r-1"), sessions=[Claims(gift_pending=True)]) == NOBODY
    assert owner_of(pending, link="r-2") == Owner("r-2", "link")
    assert owner_of(Claims(gift_pending=True, gift_recipient="r-2")).reader == "r-2"


def test_a_gift_for_somebody_who_cannot_be_is_not_the_payers_either() -> None:
    assert owner_of(Claims(gift_recipient="a/b", reader_id="r-1")).reader is None


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
def test_a_hostile_id_is_nobodys_and_no_error(word: str) -> None:
    assert not is_reader_id(word)
    assert owner_of(Claims(reader_id=word)) == NOBODY
    assert owner_of(Claims(reader_id=word), customer=Claims(reader_id="r-1")) == Owner("r-1", "customer")


@pytest.mark.parametrize("word", ["r", "r-1", "x" * 128, "é" * 64, "Robin Reader", "読者", "a.b@c:d?e=%2F"])
def test_an_id_of_the_contract_is_taken_as_it_is(word: str) -> None:
    assert is_reader_id(word)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_an_id_or_none(word: str) -> None:
    assert owner_of(Claims(reader_id=word)).reader in (word, None)
