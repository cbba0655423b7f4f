"""`Idempotency-Key` on admin POSTs: a repeat gets the first answer, other words under the same key are refused."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from flask import Response, g, request

from service.adapters.identifiers import new_token
from service.adapters.redis.staff.idempotency import FirstRequest, IdempotencyStore
from service.domain.errors import StoreUnavailable
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.guards import Principal

_PLAIN = re.compile(r"[!-~]{1,255}")
_WAIT = 3.0
_LONG = 30.0
"""Seconds for which the first is waited for where it takes its time, as a large import does, or died at it."""
_patient = threading.BoundedSemaphore(4)
"""How many of a process's threads may wait for long: the others answer readers."""


def once(store: IdempotencyStore, work: Callable[[], Response], *, most: int = bodies.MOST) -> Response:
    """Does the work, unless this key has its answer already. Refusals are not kept: they changed nothing."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return work()
    if not _PLAIN.fullmatch(given):
        raise invalid([("Idempotency-Key", "must be 1 to 255 visible ASCII characters")])
    principal = cast(Principal, g.principal)
    scope = "\n".join([principal.role, principal.name, request.method, request.full_path, given])
    body = bodies.raw(most)
    first = _settled(store, scope, body)
    if first.state == "done":
        return Response(first.body, first.status, content_type="application/json")
    if first.state == "other":
        raise Problem(409, "This Idempotency-Key was used with another body.", kind="idempotency-key-reused")
    if first.state == "at_work":
        raise Problem(
            409, "The first request with this Idempotency-Key is still at work.", headers={"Retry-After": "1"}
        )
    g.repeat_token = first.token
    return _worked(store, scope, body, first.token, work)


def token() -> str | None:
    """What a repeat of this request finds again, also after a crash or an outage in its midst: name by it what you make."""
    found: str | None = g.get("repeat_token")
    return found


def _worked(store: IdempotencyStore, scope: str, body: bytes, named: str, work: Callable[[], Response]) -> Response:
    """Does the work. A store that goes away in its midst leaves the key as it is: what was done is not known."""
    try:
        with at_work(store, scope):
            answer = work()
    except Problem:
        with suppress(StoreUnavailable):
            store.release(scope)
        raise
    except BaseException:
        with suppress(StoreUnavailable):
            store.abandon(scope)
        raise
    with suppress(StoreUnavailable):
        if answer.status_code < 300:
            store.save_answer(scope, body, named, answer.status_code, answer.get_data())
        else:
            store.release(scope)
    return answer


@contextmanager
def at_work(store: IdempotencyStore, scope: str) -> Iterator[None]:
    """While this lasts nobody takes the request for dead, however long it takes."""
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
    """The key's state, once the first request is done with it or has been given time enough."""
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
