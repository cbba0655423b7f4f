"""`/_lookalike/…`: the routes by which a test or the demo controls the look-alike. JSON, no key, loopback only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from stripe_lookalike.domain import checkout, disputes, due_work, refunds
from stripe_lookalike.domain.endpoints import Webhook, register
from stripe_lookalike.errors import ApiError, Json, invalid
from stripe_lookalike.faults import Fault, Limits
from stripe_lookalike.loading import load_event, load_lifecycle, put_object
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.validation import changed, read_as
from stripe_lookalike.world import World, public


def blueprint(lookalike: Lookalike) -> Blueprint:
    """Return the control routes of this look-alike."""
    control = Blueprint("lookalike_control", __name__, url_prefix="/_lookalike")

    def on(method: str, rule: str, act: Callable[..., Any]) -> None:
        def view(**path_ids: str) -> Response:
            with lookalike.world.lock:
                return jsonify(public(act(lookalike, _body(), **path_ids)))

        control.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    for method, rule, act in _ROUTES:
        on(method, rule, act)

    @control.errorhandler(ApiError)
    def refuse(error: ApiError) -> tuple[Response, int]:
        return jsonify(error.body), error.status

    @control.errorhandler(TypeError)
    @control.errorhandler(ValueError)
    @control.errorhandler(LookupError)
    @control.errorhandler(AttributeError)
    def bad_body(error: Exception) -> tuple[Response, int]:
        """Answer 400: no schema checks these bodies, so a wrong one fails inside the handler."""
        return jsonify(invalid(f"Invalid body: {type(error).__name__}: {error}").body), 400

    return control


def _body() -> Json:
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body


def _clock(lookalike: Lookalike, body: Json) -> Json:
    world = lookalike.world
    if request.method == "POST":
        if not body.keys() or body.keys() - {"advance", "to", "frozen"}:
            raise invalid('Send {"advance": seconds} or {"to": epoch seconds}, and optionally "frozen".')
        if any(not isinstance(body.get(name, 0), int) for name in ("advance", "to")):
            raise invalid("The clock takes whole seconds.")
        to = body.get("to", world.now() + body.get("advance", 0))
        if "frozen" in body:
            world.clock.freeze(bool(body["frozen"]))
        due_work.move_clock(world, to)
    return {"now": world.now(), "next_due": world.schedule.next_due()}


def _delivery(lookalike: Lookalike, body: Json) -> Json:
    if request.method == "POST":
        lookalike.delivery.queue.configure(body)
    return lookalike.delivery.queue.state()


def _faults(lookalike: Lookalike, body: Json) -> Json:
    seed = body.pop("seed", None)
    lookalike.faults.set(None if request.method == "DELETE" else read_as(Fault, body), seed)
    return body


def _rate_limit(lookalike: Lookalike, body: Json) -> Json:
    lookalike.rate_limit.set(read_as(Limits, body))
    return body


def _requests(lookalike: Lookalike, body: Json) -> Json:
    if request.method == "DELETE":
        lookalike.journal.clear()
    query = request.args
    limit = query.get("limit", 1000, type=int)
    return lookalike.journal.read(query.get("path", ""), query.get("method", ""), limit)


def _strict(lookalike: Lookalike, body: Json) -> Json:
    lookalike.set_openapi(None if request.method == "DELETE" else body)
    return {"strict": lookalike.strict is not None}


def _policy(lookalike: Lookalike, body: Json) -> Json:
    world = lookalike.world
    world.policy = changed(world.policy, body)
    return msgspec.structs.asdict(world.policy)


def _endpoint(lookalike: Lookalike, body: Json) -> Json:
    if not {"url", "secret"} <= body.keys():
        raise invalid("An endpoint needs url and secret.")
    listens = body.get("enabled_events") or ["*"]
    return register(lookalike.world, Webhook(body["url"], body["secret"], body.get("api_version"), listens))


def _reset(lookalike: Lookalike, body: Json) -> Json:
    lookalike.reset()
    return {"now": lookalike.world.now()}


def _load(lookalike: Lookalike, body: Json) -> Json:
    query = request.args
    return load_lifecycle(
        lookalike.world,
        body,
        send=query.get("send") in ("1", "true"),
        live=query.get("live") in ("1", "true"),
        upto=query.get("upto", type=int),
    )


def _object(lookalike: Lookalike, body: Json) -> Json:
    return put_object(lookalike.world, body)


def _event(lookalike: Lookalike, body: Json) -> Json:
    if "raw" in body:
        lookalike.delivery.send_raw(body["raw"].encode())
        return {}
    return load_event(lookalike.world, body)


def _resend(lookalike: Lookalike, body: Json, event: str) -> Json:
    found = lookalike.world.get("event", event)
    lookalike.delivery.resend(found, int(body.get("times", 1)))
    return found


def _open_dispute(lookalike: Lookalike, body: Json) -> Json:
    world = lookalike.world
    charge = refunds.charge_for(world, body.get("charge"), body.get("payment_intent"))
    status = body.get("status", "needs_response")
    return disputes.open_dispute(world, charge, body.get("reason", "fraudulent"), body.get("amount"), status)


def _decide_dispute(lookalike: Lookalike, body: Json, dispute: str) -> Json:
    found = lookalike.world.get("dispute", dispute)
    disputes.set_status(lookalike.world, found, str(body.get("status")))
    return found


def _settle_refund(lookalike: Lookalike, body: Json, refund: str) -> Json:
    found = lookalike.world.get("refund", refund)
    refunds.settle(lookalike.world, found, str(body.get("status")))
    return found


def _settle_session(lookalike: Lookalike, body: Json, session: str) -> Json:
    found = lookalike.world.get("checkout.session", session)
    checkout.settle(lookalike.world, found, succeed=bool(body.get("succeed", True)))
    return found


def _pay_session(lookalike: Lookalike, body: Json, session: str) -> Json:
    """Pay without a browser: `{"how": "card" | "declined" | "debit", "email": …}`."""
    world, how = lookalike.world, body.get("how", "card")
    found = world.get("checkout.session", session)
    try:
        _pay(world, found, how, body.get("email"))
    except checkout.DeclinedError:
        raise ApiError(402, "Your card was declined.", kind="card_error", code="card_declined") from None
    return found


def _pay(world: World, session: Json, how: str, email: str | None) -> None:
    if how == "debit":
        checkout.pay_later(world, session, email)
    elif how == "declined":
        checkout.pay(world, session, email, last4="0341")
    elif how == "card":
        checkout.pay(world, session, email)
    else:
        raise invalid("how must be one of card, declined, debit", "how")


_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/clock", _clock),
    ("POST", "/clock", _clock),
    ("GET", "/delivery", _delivery),
    ("POST", "/delivery", _delivery),
    ("POST", "/faults", _faults),
    ("DELETE", "/faults", _faults),
    ("POST", "/rate_limit", _rate_limit),
    ("GET", "/requests", _requests),
    ("DELETE", "/requests", _requests),
    ("PUT", "/strict", _strict),
    ("DELETE", "/strict", _strict),
    ("GET", "/policy", _policy),
    ("POST", "/policy", _policy),
    ("POST", "/webhook_endpoints", _endpoint),
    ("POST", "/reset", _reset),
    ("POST", "/load", _load),
    ("POST", "/object", _object),
    ("POST", "/event", _event),
    ("POST", "/events/<event>/resend", _resend),
    ("POST", "/disputes", _open_dispute),
    ("POST", "/disputes/<dispute>", _decide_dispute),
    ("POST", "/refunds/<refund>", _settle_refund),
    ("POST", "/checkout/<session>/settle", _settle_session),
    ("POST", "/checkout/<session>/pay", _pay_session),
)
