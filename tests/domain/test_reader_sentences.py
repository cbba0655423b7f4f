"""Test the sentence that readers see for each reason: dates in the site's zone, no internal data."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from service.domain.catalogue import Catalogue, Plan, Tier
from service.domain.decision import Decision, NextStep
from service.domain.meter import MeterStanding
from service.domain.reader_sentences import SENTENCES, reader_sentence
from service.domain.sources import Holding, Reason
from service.domain.sources import Standing as Good

ZONE = ZoneInfo("America/New_York")
CATALOGUE = Catalogue(
    site_name="The Daily Ledger",
    zone=ZONE,
    origins=(),
    features={"notebook": "The notebook"},
    plans={"supporter": Plan("supporter", "Supporter", ("notebook",))},
    tiers={"metered": Tier("metered", ("notebook",))},
    default_tier="metered",
)
END = int(datetime(2026, 12, 1, 0, 0, tzinfo=ZONE).timestamp())


def decision(
    reason: Reason, *, until: int | None = None, plan: str | None = "supporter", show: str = "full"
) -> Decision:
    source = Holding(
        "grant", "gr_secret", plan, (), "active", Good.GOOD, reason, 0, until, grant_reason="a secret", actor="anna"
    )
    meter = MeterStanding("stories", 5, 3, seen=False, resets_at=END)
    steps = (NextStep("wait", until=END),)
    return Decision(show, reason, "metered", (), source=source, meter=meter, next=steps)  # type: ignore[arg-type]  # a plain string in tests


@pytest.mark.parametrize("reason", [Reason.METERED, Reason.METER_USED_UP])
def test_meter_sentence_without_meter_names_no_number(reason: Reason) -> None:
    sentence = reader_sentence(replace(decision(reason), meter=None), CATALOGUE)
    assert "free stories" in sentence
    assert not any(character.isdigit() for character in sentence)


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("until", [None, END])
@pytest.mark.parametrize("plan", ["supporter", None, "gone"])
def test_sentence_contains_no_internal_data(reason: Reason, until: int | None, plan: str | None) -> None:
    for show in ("full", "upsell"):
        text = reader_sentence(decision(reason, until=until, plan=plan, show=show), CATALOGUE)
        assert text.endswith(".")
        assert text[0].isupper()
        assert not {"{", "}", "None"} & set(text.split())
        assert not any(secret in text for secret in ("secret", "anna", "gr_"))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.SUBSCRIPTION, "You read this with your subscription."),
        (Reason.TRIAL, "You read this with your trial."),
        (Reason.GRACE, "Your last payment did not go through. You keep access while it is retried."),
        (Reason.PASS, "You read this with your access."),
        (Reason.SEAT, "You read this with a seat in your group's subscription."),
        (Reason.GRANT, "We gave you access."),
    ],
)
def test_sentence_without_a_plan_names_none(reason: Reason, words: str) -> None:
    assert reader_sentence(decision(reason, plan=None), CATALOGUE) == words


@pytest.mark.parametrize(
    ("reason", "until", "words"),
    [
        (Reason.FREE, None, "This story is free for everyone."),
        (Reason.SUBSCRIPTION, END, "You read this with your Supporter subscription, at least until 1 December 2026."),
        (
            Reason.SUBSCRIPTION,
            END - 1,
            "You read this with your Supporter subscription, at least until 30 November 2026.",
        ),
        (Reason.GRANT, None, "We gave you Supporter."),
        (Reason.METERED, None, "This is one of your 5 free stories; 2 left, more from 1 December 2026."),
        (Reason.METER_USED_UP, None, "You have read your 5 free stories, more from 1 December 2026."),
        (Reason.SIGN_IN_REQUIRED, None, "Please sign in to read this story."),
    ],
)
def test_sentence_for_reason_and_end(reason: Reason, until: int | None, words: str) -> None:
    assert reader_sentence(decision(reason, until=until), CATALOGUE) == words


def test_meter_sentence_without_figures_omits_them() -> None:
    bare = Decision("upsell", Reason.METER_USED_UP, "metered", ())
    assert reader_sentence(bare, CATALOGUE) == "You have read all your free stories."


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_sentence_with_last_representable_date_works_in_every_zone(zone: str) -> None:
    for end in (253_402_300_799, 253_402_300_799 + 48 * 3_600):
        sentence = reader_sentence(decision(Reason.GRANT, until=end), replace(CATALOGUE, zone=ZoneInfo(zone)))
        assert sentence.endswith(" December 9999.")


@pytest.mark.parametrize(
    ("reason", "limit", "used", "opens_at", "words"),
    [
        (Reason.METERED, 1, 1, None, "This is your 1 free story; 0 left, more from 1 December 2026."),
        (Reason.METERED, 2, 5, None, "This is one of your 2 free stories; 0 left."),
        (Reason.METERED, 0, 1, None, "You have read this story before."),
        (Reason.METER_USED_UP, 1, 1, END, "You have read your 1 free story, more from 1 December 2026."),
        (
            Reason.METER_USED_UP,
            2,
            5,
            END + 172_800,
            "You have read your 2 free stories; this story opens on 3 December 2026.",
        ),
        (Reason.METER_USED_UP, 2, 2, None, "You have read your 2 free stories."),
        (Reason.METER_USED_UP, 0, 0, None, "This story is for supporters."),
        (Reason.METER_USED_UP, 0, 0, END, "This story is for supporters."),
    ],
)
def test_meter_sentence_promises_nothing_too_early(
    reason: Reason, limit: int, used: int, opens_at: int | None, words: str
) -> None:
    meter = MeterStanding("stories", limit, used, seen=False, resets_at=END)
    steps = () if opens_at is None else (NextStep("wait", until=opens_at),)
    assert reader_sentence(replace(decision(reason), meter=meter, next=steps), CATALOGUE) == words
