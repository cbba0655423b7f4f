"""What every API call passes: API key, faults, rate limit, parameter checks, idempotency, handler, journal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from flask import Flask, Request, Response, request
from werkzeug.http import http_date

from stripe_lookalike import ids, render
from stripe_lookalike.api import ROUTES
from stripe_lookalike.domain import due_work
from stripe_lookalike.errors import ApiError, Json
from stripe_lookalike.idempotency import fingerprint
from stripe_lookalike.lookalike import Lookalike
from stripe_lookalike.openapi_check import unknown_parameter
from stripe_lookalike.params import Params, decode
from stripe_lookalike.routes import Route
from stripe_lookalike.world import API_VERSION, Cause

_SHOWN = 12  # characters of a wrong key in the error, as at Stripe


def register_routes(app: Flask, lookalike: Lookalike) -> None:
    """Register every route of `/v1/` in the app."""
    for route in ROUTES:
        rule = route.path.replace("{", "<").replace("}", ">")
        view = _view(lookalike, route.path, _checked(lookalike, route))
        app.add_url_rule(rule, f"{route.method} {route.path}", view, methods=[route.method])
    unknown_path = _view(lookalike, "(unknown)", _unrecognized)
    app.add_url_rule("/v1/<path:rest>", "unknown", unknown_path, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])


Responder = Callable[..., tuple[int, bytes, dict[str, str]]]


def _view(lookalike: Lookalike, path: str, responder: Responder) -> Callable[..., Response]:
    def view(**path_ids: str) -> Response:
        started = time.monotonic()
        params: Json = {}
        try:
            params = _params(request)
            status, body, headers = responder(params, **path_ids)
        except ApiError as error:
            status, body, headers = error.status, json.dumps(error.body, indent=2).encode(), error.headers
        lookalike.journal.record(
            {
                "method": request.method,
                "path": request.path,
                "route": path,
                "params": params,
                "status": status,
                "at": time.time(),
                "ms": round((time.monotonic() - started) * 1000, 1),
                "idempotency_key": request.headers.get("Idempotency-Key"),
            }
        )
        answer = Response(body, status, content_type="application/json")
        answer.headers.update(headers)
        answer.headers.setdefault("Request-Id", ids.new("req_"))
        answer.headers["Date"] = http_date(lookalike.world.clock.signing_time())
        answer.headers["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
        return answer

    return view


def _params(incoming: Request) -> Json:
    pairs = [*incoming.args.items(multi=True), *incoming.form.items(multi=True)]
    return decode(pairs)


def _checked(lookalike: Lookalike, route: Route) -> Responder:
    def responder(params: Json, **path_ids: str) -> tuple[int, bytes, dict[str, str]]:
        method, path = request.method, request.path
        _authorize(request)
        lookalike.faults.apply(path, "before")
        lookalike.rate_limit.check(f"{route.method} {route.path}")
        if lookalike.strict is not None:
            lookalike.strict.check(method, path, params)
        for name in params.keys() - route.parameters - {"expand"}:
            raise unknown_parameter(name)
        found = _call_handler(lookalike, route, params, path_ids)
        lookalike.faults.apply(path, "after")
        return found

    return responder


def _call_handler(
    lookalike: Lookalike, route: Route, params: Json, path_ids: dict[str, str]
) -> tuple[int, bytes, dict[str, str]]:
    """Call the handler, or return the first response to the same idempotency key."""
    request_id = ids.new("req_")
    key = request.headers.get("Idempotency-Key") if route.method == "POST" else None
    headers = {"Request-Id": request_id, **({"Idempotency-Key": key} if key else {})}
    mark = fingerprint(route.method, request.path, params)
    version = request.headers.get("Stripe-Version", API_VERSION)
    world = lookalike.world
    with world.lock:
        kept = lookalike.keys.seen(key, mark) if key else None
        if kept is not None:
            return kept.status, kept.body, {**headers, "Idempotent-Replayed": "true"}
        due_work.run_due(world)
        world.cause = Cause(request_id, key, request.host_url.rstrip("/"))
        try:
            arguments = Params({name: value for name, value in params.items() if name != "expand"})
            found = route.handler(world, arguments, **path_ids)
            expand = Params(params).texts("expand")
            status, body = 200, render.render_object(world, found, expand, version)
        except ApiError as error:
            if error.status != 402:  # Stripe keeps a declined card for the key, but no other error
                raise
            status, body = error.status, error.body
        finally:
            world.cause = Cause()
        sent = json.dumps(body).encode()
        if key:
            lookalike.keys.keep(key, mark, status, sent)
        return status, sent, headers


def _authorize(incoming: Request) -> None:
    scheme, _, key = incoming.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        raise ApiError(401, f"Invalid API Key provided: {key[:_SHOWN]}{'*' * 8}")


def _unrecognized(params: Json, rest: str) -> tuple[int, bytes, dict[str, str]]:
    raise ApiError(404, f"Unrecognized request URL ({request.method}: /v1/{rest}). The look-alike has no such path.")
