"""Test webhook verification: every failure is a `NotStripe` with a one-word reason."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from service.adapters.stripe.webhook import NotStripe, Why, parse_api_event, parse_delivery, verify_delivery
from tests.stripe_fixtures import BORN, SECRET, sign

NOW = BORN


def body(**changes: Any) -> bytes:
    event = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": NOW, "livemode": False}
    return json.dumps({**event, "data": {"object": {"id": "in_1"}}, **changes}).encode()


def refusal(raw: bytes, header: str | None, *, secrets: tuple[str, ...] = (SECRET,), now: float = NOW) -> str:
    with pytest.raises(NotStripe) as refused:
        verify_delivery(raw, header, secrets, now)
    assert str(refused.value) == refused.value.why
    assert refused.value.why in get_args(Why)
    return refused.value.why


def test_signed_event_is_accepted_with_its_fields() -> None:
    raw = body(account="acct_2", api_version="2020-03-02", surprise={"deep": [1.5]})
    event = verify_delivery(raw, sign(raw), [SECRET], NOW)
    assert (event.id, event.type, event.created, event.livemode) == ("evt_1", "invoice.paid", NOW, False)
    assert (event.account, event.object) == ("acct_2", {"id": "in_1"})
    assert not event.thin


def test_any_of_several_secrets_is_accepted() -> None:
    raw = body()
    for secret in ("whsec_old", "whsec_new"):
        assert verify_delivery(raw, sign(raw, secret=secret), ["whsec_old", "whsec_new"], NOW).id == "evt_1"
    both = sign(raw, secret="whsec_old") + "," + sign(raw, secret="whsec_new").split(",")[1]
    assert verify_delivery(raw, both, ["whsec_new"], NOW).id == "evt_1"


def test_webhook_without_configured_secret_is_rejected() -> None:
    raw = body()
    assert refusal(raw, sign(raw), secrets=()) == "no_secret"
    assert refusal(raw, sign(raw, secret=" "), secrets=(" ",)) == "bad_signature"


@pytest.mark.parametrize("header", [None, ""])
def test_webhook_without_signature_header_is_rejected(header: str | None) -> None:
    assert refusal(body(), header) == "no_header"


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "t=1793491200",
        "v1=abc",
        "t=,v1=abc",
        "t=x,v1=abc",
        "t=1.5,v1=abc",
        "=,=,=",
        ",,,,",
        "t=" + "9" * 4_000 + ",v1=abc",
        "t=1793491200,v1=\xff\xfe",
        "t=1793491200,v1=é",
        "t=1793491200,v1=" + "a" * 4_096,
        "t=1793491200,v0=" + "a" * 64,
        "t=1793491200,v1=" + "a" * 63,
        "t=1793491200,v1=" + "g" * 64,
        "t=1793491200,xv1=" + "a" * 64,
        "\x00",
    ],
)
def test_webhook_with_malformed_header_is_rejected(header: str) -> None:
    assert refusal(body(), header) == "bad_header"


def test_webhook_with_header_above_4_kib_is_rejected() -> None:
    raw = body()
    padded = sign(raw) + "," + ",".join("v1=" + "0" * 64 for _ in range(70))
    assert refusal(raw, padded) == "bad_header"


def test_webhook_with_other_body_or_secret_is_rejected() -> None:
    raw = body()
    assert refusal(raw + b" ", sign(raw)) == "bad_signature"
    assert refusal(raw, sign(raw, secret="whsec_other")) == "bad_signature"
    assert refusal(raw, sign(raw).upper().replace("T=", "t=").replace("V1=", "v1=")) == "bad_signature"


@pytest.mark.parametrize(("age", "taken"), [(0, True), (300, True), (301, False), (86_400, False), (-86_400, True)])
def test_webhook_older_than_300_seconds_is_rejected_and_future_accepted(age: int, taken: bool) -> None:
    raw = body()
    header = sign(raw, at=NOW - age)
    if taken:
        assert verify_delivery(raw, header, [SECRET], NOW).id == "evt_1"
    else:
        assert refusal(raw, header) == "too_old"


def test_webhook_with_huge_signed_time_counts_as_future() -> None:
    raw = body()
    assert verify_delivery(raw, sign(raw, at=10**30), [SECRET], NOW).id == "evt_1"
    assert refusal(raw, sign(raw, at=-(10**30))) == "too_old"


def test_old_webhook_with_wrong_signature_reveals_no_age() -> None:
    raw = body()
    assert refusal(raw, sign(raw, secret="whsec_other", at=0)) == "bad_signature"


def test_webhook_body_that_is_not_utf8_is_rejected() -> None:
    assert refusal(b"\xff\xfe{}", "t=1793491200,v1=" + "a" * 64) == "not_utf8"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"hello", "not_json"),
        (b"\xef\xbb\xbf" + body(), "not_json"),
        (body().replace(b'"in_1"', b"NaN"), "not_json"),
        (body().replace(b'"in_1"', b"-Infinity"), "not_json"),
        (body().replace(b'"in_1"', b'"\\ud800"'), "not_json"),
        (body() + b"{}", "not_json"),
        (b"[" * 100_000, "not_an_event"),
        (body().replace(b'"in_1"', b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "not_json"),
        (body().replace(b'"in_1"', b"[" * 100_000 + b"]" * 100_000), "not_json"),
        (b"[]", "not_an_event"),
        (b"null", "not_an_event"),
        (b'"x"', "not_an_event"),
        (b"1", "not_an_event"),
        (b"{}", "not_an_event"),
        (b'{"object": "event"}', "not_an_event"),
        (b'{"object": "v2.core.event"}', "not_an_event"),
        (b'{"detail": {"object": "event"}}', "not_an_event"),
        (body(object="charge"), "not_an_event"),
        (body(object=None), "not_an_event"),
        (body(data=None), "not_an_event"),
        (body(data=[]), "not_an_event"),
        (body(data={"object": []}), "not_an_event"),
        (body(data={"object": {}, "previous_attributes": 1}), "not_an_event"),
        (body(id=""), "not_an_event"),
        (body(id=7), "not_an_event"),
        (body(id="e" * 256), "not_an_event"),
        (body(type=None), "not_an_event"),
        (body(created="now"), "not_an_event"),
        (body(created=True), "not_an_event"),
        (body(created=-1), "not_an_event"),
        (body(created=10**30), "not_an_event"),
        (body(livemode=1), "not_an_event"),
        (body(livemode="false"), "not_an_event"),
        (body(account=[]), "not_an_event"),
    ],
)
def test_signed_body_that_is_no_event_is_rejected(raw: bytes, why: str) -> None:
    assert refusal(raw, sign(raw)) == why


def test_duplicate_json_key_and_huge_number_are_accepted() -> None:
    raw = body().replace(b'"id": "in_1"', b'"id": "in_0", "id": "in_1", "big": 99999999999999999999999999')
    assert verify_delivery(raw, sign(raw), [SECRET], NOW).object["id"] == "in_1"


def test_thin_event_names_its_object() -> None:
    thin = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-01T00:00:00.000Z",
        "livemode": False,
        "context": None,
        "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
    }
    raw = json.dumps(thin).encode()
    event = verify_delivery(raw, sign(raw), [SECRET], NOW)
    assert event.thin
    assert (event.related, event.created, event.account, event.object) == (("subscription", "sub_1"), NOW, None, {})
    assert (
        parse_delivery(json.dumps({**thin, "context": "acct_2", "related_object": None}).encode()).account == "acct_2"
    )
    for wrong in (
        {"created": NOW},
        {"created": "soon"},
        {"created": "2026-11-01T00:00:00"},
        {"related_object": "sub_1"},
    ):
        bad = json.dumps({**thin, **wrong}).encode()
        assert refusal(bad, sign(bad)) == "not_an_event"


def test_event_from_the_api_equals_the_delivered_event() -> None:
    raw = body()
    assert parse_api_event(json.loads(raw)) == parse_delivery(raw)
    with pytest.raises(NotStripe):
        parse_api_event({"id": "evt_1"})


def test_repr_of_an_event_omits_its_object() -> None:
    raw = body(data={"object": {"email": "reader@example.org"}, "previous_attributes": {"email": "old@example.org"}})
    assert "example.org" not in repr(parse_delivery(raw))
