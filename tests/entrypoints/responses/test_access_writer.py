"""The access answer: the compiled writer and the schema write the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, fields

from service.domain.decision import Decision, DecisionStep, NextStep
from service.domain.meter import MeterStanding
from service.domain.prices import PriceTag
from service.domain.sources import Holding, Reason, Standing
from service.entrypoints.responses.access import AccessOut
from service.entrypoints.responses.fields import compile_writer
from service.use_cases.checkout.offer_boxes import OfferBox, OfferedPlan, OfferLink

write = compile_writer(AccessOut())


@dataclass(frozen=True)
class Row:
    """What an access answer is written from."""

    decision: Decision
    decision_id: str | None
    offer: OfferBox | None
    explain: Sequence[DecisionStep] | None


OFFER = OfferBox(
    "notebook",
    "Unlock unlimited access",
    ["No ads"],
    "Support us",
    [OfferedPlan("supporter", "Supporter", (PriceTag("price_1", None, 900, "usd", "month", None, True),))],
    [OfferLink("The Spotlight", "/spotlight")],
)

TEXTS = st.text(max_size=12)
MOMENTS = st.none() | st.integers(-62_000_000_000, 260_000_000_000)
HOLDINGS = st.builds(
    Holding,
    st.sampled_from(["subscription", "grant", "gift"]),
    TEXTS,
    st.none() | TEXTS,
    st.just(()),
    st.just("active"),
    st.just(Standing.GOOD),
    st.sampled_from(Reason),
    st.none(),
    MOMENTS,
)
METERS = st.builds(MeterStanding, TEXTS, st.integers(0, 9), st.integers(0, 9), st.booleans(), MOMENTS, st.booleans())
NEXT_STEPS = st.one_of(
    st.builds(NextStep, st.just("sign_in"), verified=st.booleans()),
    st.just(NextStep("verify")),
    st.builds(NextStep, st.just("subscribe"), plans=st.lists(TEXTS, min_size=1).map(tuple)),
    st.builds(NextStep, st.just("wait"), until=MOMENTS.filter(lambda moment: moment is not None)),
)
STEPS = st.builds(
    DecisionStep,
    TEXTS,
    st.dictionaries(
        st.sampled_from(["until", "resets_at", "at", "used", "held"]),
        MOMENTS | TEXTS | st.booleans() | st.lists(st.dictionaries(st.just("until"), MOMENTS)),
    ),
    TEXTS,
)
ROWS = st.builds(
    Row,
    st.builds(
        Decision,
        st.sampled_from(["full", "upsell"]),
        st.sampled_from(Reason),
        TEXTS,
        st.lists(st.tuples(TEXTS, st.booleans()), unique_by=lambda part: part[0]).map(tuple),
        st.lists(st.tuples(TEXTS, MOMENTS)).map(tuple),
        st.none() | HOLDINGS,
        st.none() | METERS,
        MOMENTS,
        st.booleans(),
        st.lists(NEXT_STEPS).map(tuple),
    ),
    st.none() | TEXTS,
    st.sampled_from([None, OFFER]),
    st.none() | st.lists(STEPS),
)


@given(ROWS)
def test_compiled_writer_writes_what_the_schema_dumps(row: Row) -> None:
    assert orjson.dumps(write(row)) == orjson.dumps(AccessOut().dump(row))


def test_compiled_writer_encodes_an_offer_once() -> None:
    row = Row(Decision("upsell", Reason.NO_ENTITLEMENT, "supporters", ()), None, OFFER, None)
    assert write(row)["offer"] is write(row)["offer"]


def test_missing_attribute_is_an_error_in_both() -> None:
    with pytest.raises(AttributeError):
        AccessOut().dump(object())
    with pytest.raises(AttributeError):
        write(object())


def test_compiled_writer_uses_the_names_of_the_answer() -> None:
    class Named(Schema):
        from_ = fields.String(attribute="inner.start", data_key="from")
        end = fields.String(attribute="inner.end")

    @dataclass
    class Inner:
        start: str
        end: str

    @dataclass
    class Outer:
        inner: Inner

    outer = Outer(Inner("a", "b"))
    assert compile_writer(Named())(outer) == Named().dump(outer) == {"from": "a", "end": "b"}
