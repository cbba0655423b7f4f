"""A take-over stores what Stripe lists, and finishes what was interrupted before."""

from __future__ import annotations

from typing import Any

from service.adapters.stripe import translate
from service.domain.event_order import version_of_read
from service.use_cases.subscriptions.full_sync import FullSync
from tests.stripe_fixtures import Made

NOW = 1_795_000_000


def _listed(**changes: Any) -> Any:
    return translate.subscription_facts(Made.subscription(metadata={"reader_id": "r-1"}, **changes))


def test_unknown_listed_object_is_stored_without_a_read(stage: Any) -> None:
    facts = _listed()
    FullSync(stage.processor).store_listed(facts, NOW)
    assert stage.processor.objects.load(facts.ref.name).owner.reader == "r-1"
    assert stage.stripe.reads == []


def test_listed_object_whose_fan_out_was_interrupted_is_fanned_out(stage: Any) -> None:
    facts, objects = _listed(), stage.processor.objects
    number, _ = objects.begin_read(facts.ref.name, NOW, wanted=True)
    objects.apply(facts.ref.name, number, facts, NOW, read=False, version=version_of_read(facts, created=0), rev=0)
    assert not objects.load(facts.ref.name).is_fanned_out
    FullSync(stage.processor).store_listed(facts, NOW)
    assert objects.load(facts.ref.name).is_fanned_out
