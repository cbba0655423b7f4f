"""Test the access check of the staff page: it uses what the site said of a story, and guesses nothing."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.entrypoints.http.admin.conftest import MakeStaff, Staff, owner_of, plain
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import POLICY, WITH_STORY_URLS, in_days


def check(staff: Staff, story: str, **more: str) -> str:
    answer = staff.get(f"/why?{urlencode({'id': 'r-1', 'story': story, **more})}")
    assert answer.status_code == 200
    return plain(answer).replace(" ,", ",").replace(" :", ":")


def test_unknown_story_needs_a_tier_and_gets_no_sentence(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    for story in ("s-invented", "https://www.example.news/story/s-1"):
        text = check(ann, story)
        assert "Which tier does the story have?" in text
        for guess in ("Full story", "Paywall ", "Answer for the reader", "Decision …"):
            assert guess not in text
    part = ann.client.get("/admin/why?id=r-1&story=s-invented", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "Which tier" in part.text
    assert 'href="/admin/why?id=r-1&amp;story=s-invented&amp;tier=supporters"' in part.text
    assert "Paywall" in check(ann, "s-invented", tier="supporters")
    assert "Full story" in check(ann, "s-invented", tier="free")


def test_answer_for_an_unknown_reader_says_that_they_are_new(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    note = "Nothing is known of a reader with this ID. This is what a new reader gets."
    assert note in check(ann, "s-1", tier="supporters")
    admin_app.grant("r-1", until=in_days(9))
    assert note not in check(ann, "s-1", tier="supporters")


def test_known_story_is_explained_as_the_site_described_it(staff: MakeStaff, admin_app: InProcessApp) -> None:
    admin_app.clock.at("2082-11-25T10:00:00Z")
    admin_app.ask({"id": "s-1", "section": "city", "published_at": "2082-10-01T10:00:00Z", "parts": ["facts"]})
    admin_app.service.stories.write_noted()  # as the background task does all the time
    admin_app.clock.at("2082-11-26T10:00:00Z")
    text = check(staff(), "s-1")
    assert "Your site described this story on 25 Nov 2082, 10:00 UTC: section city, published 1 Oct 2082" in text
    assert "Rule 3 of the configuration sets its tier." in text
    assert "Full story" in text, "its only part is open to everyone"
    assert "tier supporters" in text


def test_chosen_tier_is_used_instead_of_the_known_one(staff: MakeStaff, admin_app: InProcessApp) -> None:
    ann = staff()
    admin_app.ask({"id": "s-1", "tier": "free"})
    assert "Full story" in check(ann, "s-1")
    text = check(ann, "s-1", tier="supporters")
    assert "Paywall" in text
    assert "Its tier was given with the question." in text


def test_page_asks_whether_the_address_is_verified_and_names_what_opens_it(
    staff: MakeStaff, admin_app: InProcessApp
) -> None:
    ann = staff()
    text = check(ann, "s-1", tier="members")
    assert "Verified address required" in text
    assert "Would open it: verifying the address." in text
    assert "No, the address is not verified" in text
    text = check(ann, "s-1", tier="members", verified="yes")
    assert "Full story Signed in" in text
    assert "Would open it" not in text
    assert "Would open it: buying Supporter or Day pass." in check(ann, "s-1", tier="supporters", verified="yes")


def test_tier_that_is_gone_from_the_configuration_is_not_guessed(make_app: MakeApp, valkey_url: str) -> None:
    before = make_app(valkey_url, POLICY + "\n[tiers.old]\n")
    before.ask({"id": "s-1", "tier": "old"})
    before.service.stories.write_noted()
    ann = owner_of(make_app(valkey_url))
    text = check(ann, "s-1")
    assert "The site last named the tier old" in text
    assert "Answer for the reader" not in text


@pytest.mark.parametrize(
    "address", ["https://www.example.news/story/a%2Fb", "http://www.example.news/story/a/b/?x=1#y"]
)
def test_pasted_address_of_a_story_is_explained(make_app: MakeApp, valkey_url: str, address: str) -> None:
    app = make_app(valkey_url, WITH_STORY_URLS)
    app.ask({"id": "a/b", "tier": "supporters"})
    ann = owner_of(app)
    assert "a/b · tier supporters" in check(ann, address)
    text = check(ann, "https://www.example.news/other/a")
    assert "nor an address by story_url" in text
    assert (
        ann.get(f"/why?{urlencode({'id': 'r-1', 'story': 'https://www.example.news/' + 'x' * 200})}").status_code == 422
    )
