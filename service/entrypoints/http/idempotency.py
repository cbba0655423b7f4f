"""Repeated requests: a repeat of an admin POST or of a form gets the first result, once it is there."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, cast

from flask import Response, g, make_response, request

from service.adapters.crypto import new_token
from service.adapters.redis.staff.idempotency import FirstRequest, IdempotencyStore
from service.domain.errors import DomainError, InvalidFields, StoreUnavailable
from service.entrypoints.http import inputs
from service.entrypoints.http.guards import Principal
from service.entrypoints.responses.errors import Problem, problem_of
from service.entrypoints.responses.fields import JsonObject

Reply = JsonObject | tuple[JsonObject, int]
"""What Flask sends as JSON; a status other than 200 stands beside it."""

_PLAIN = re.compile(r"[!-~]{1,255}")
_WAIT = 3.0
_LONG = 30.0
"""Seconds to wait for a first request that takes long, as a large import does, or that crashed."""
_patient = threading.BoundedSemaphore(4)
"""Threads of a process that may wait for long; the others answer readers."""


def repeatable(store: IdempotencyStore, view: Callable[..., Reply]) -> Callable[..., Response]:
    """Return a view that does its work unless the request's `Idempotency-Key` has an answer already."""

    @wraps(view)
    def once(**given: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return make_response(view(**given))
        if not _PLAIN.fullmatch(key):
            raise InvalidFields([("Idempotency-Key", "must be 1 to 255 visible ASCII characters")])
        principal = cast(Principal, g.principal)
        scope = "\n".join([principal.role, principal.name, request.method, request.full_path, key])

        def answered() -> tuple[int, bytes]:
            answer = make_response(view(**given))
            return answer.status_code, answer.get_data()

        status, answer = run_once(store, scope, inputs.raw(), answered)
        return Response(answer, status, content_type="application/json")

    return once


def run_once(
    store: IdempotencyStore, scope: str, body: bytes, work: Callable[[], tuple[int, bytes]]
) -> tuple[int, bytes]:
    """Do the work, or return the result of the first request with this scope and body: a status and an answer.

    Refusals are not kept, since they changed nothing. When the store becomes unavailable during the work, the claim
    stays: the outcome is unknown, and the next request continues with the same token. Raises: `Problem` 409.
    """
    first = _settled(store, scope, body)
    if first.state == "done":
        return first.status, first.body
    if first.state == "other":
        raise Problem(409, "This Idempotency-Key was used with another body.", kind="idempotency-key-reused")
    if first.state == "at_work":
        raise Problem(409, "The first such request is still being processed.", headers={"Retry-After": "1"})
    g.repeat_token = first.token
    try:
        with at_work(store, scope):
            result = work()
    except BaseException as error:
        with suppress(StoreUnavailable):
            is_refusal = isinstance(error, Problem | DomainError) and problem_of(error).status < 500
            (store.release if is_refusal else store.abandon)(scope)
        raise
    with suppress(StoreUnavailable):
        store.save_answer(scope, body, first.token, *result)
    return result


def token() -> str | None:
    """Return what a repeat of this request finds again, also after a crash or an outage: name by it what you create."""
    found: str | None = g.get("repeat_token")
    return found


@contextmanager
def at_work(store: IdempotencyStore, scope: str) -> Iterator[None]:
    """Renew the claim as long as the work lasts, so that no other request takes it over."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(store.at_work / 3):
            with suppress(StoreUnavailable):
                store.renew(scope)

    threading.Thread(target=renew, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _settled(store: IdempotencyStore, scope: str, body: bytes) -> FirstRequest:
    """Return the state of the scope once the first request is done, or after a wait."""
    fresh = new_token(time.time())

    def waited(seconds: float) -> FirstRequest:
        deadline = time.monotonic() + seconds
        while True:
            first = store.claim(scope, body, fresh)
            if first.state != "at_work" or time.monotonic() > deadline:
                return first
            time.sleep(0.05)

    first = waited(_WAIT)
    if first.state == "at_work" and _patient.acquire(blocking=False):
        try:
            return waited(_LONG)
        finally:
            _patient.release()
    return first
