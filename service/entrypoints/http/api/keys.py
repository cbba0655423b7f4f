"""`/v1/keys`: an owner makes and ends admin keys at run time. A key is shown once; what is kept is a hash of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.staff.admin_keys import AdminKey, AdminKeyCache, AdminKeys
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.domain.errors import NameInUse, UnknownKey
from service.domain.ids import read_key_name
from service.domain.times import write_time
from service.entrypoints.http import csv_output as csv_out
from service.entrypoints.http import guards, paging
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses.governance_schemas import KeyIn, KeyOut, KeysOut, NewKeyOut
from service.entrypoints.responses.schemas import ReasonMaybeIn

LIST = "keys"
COLUMNS = ("name", "role", "created_at", "actor")


def blueprint(
    keys: AdminKeys, book: AdminKeyCache, repeated: IdempotencyStore, clock: Callable[[], float]
) -> Blueprint:
    """Keys made at run time."""
    blp = Blueprint("keys", __name__)
    key_in, reason_in = KeyIn(), ReasonMaybeIn()

    @blp.post("/v1/keys")
    @described(takes=KeyIn, gives={201: NewKeyOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="keys")
    @guards.admin("owner")
    def make_key() -> Response:
        """Makes an admin key; the answer is the only time that it is shown."""
        data = bodies.load(key_in)

        def make() -> Response:
            told = made(keys, data["name"], data["role"], data.get("reason"), guards.actor(), clock())
            book.invalidate()
            answer = private(told)
            answer.status_code = 201
            return answer

        return repeats.once(repeated, make)

    @blp.get("/v1/keys")
    @described(gives={200: csv_out.or_csv(KeysOut)}, parameters=(LIMIT, AFTER), tag="keys")
    @guards.admin("viewer")
    def list_keys() -> Response:
        """The admin keys made at run time, newest first, without the keys themselves; CSV where Accept asks for text/csv."""
        page = paging.asked(LIST)
        chosen, following = paging.cut(LIST, [(_place(key), key) for key in keys.list_all()], page)
        found = [told_of(key) for key in chosen]
        if csv_out.wanted():
            return csv_out.answer(COLUMNS, found, LIST, following)
        return private(paging.listed(found, following))

    @blp.delete("/v1/keys/<name>")
    @described(
        takes=ReasonMaybeIn,
        body_required=False,
        gives={200: KeyOut},
        refuses=(404, 409),
        parameters=(REASON,),
        tag="keys",
    )
    @guards.admin("owner")
    def end_key(name: str) -> Response:
        """Ends a key: within two seconds it opens nothing, on any worker."""
        try:
            checked = read_key_name(name)
        except ValueError as error:
            raise invalid([("name", str(error))]) from None
        ended = ended_key(keys, checked, bodies.reason(reason_in), guards.actor(), clock())
        book.invalidate()
        return jsonify(ended)

    return blp


def made(keys: AdminKeys, name: str, role: str, reason: str | None, actor: Actor, now: float) -> dict[str, Any]:
    """A new key, with the key itself. `Problem` 409 where the name is in use, also by a key of the environment."""
    key = keys.generate_key()
    try:
        kept = keys.create(name, role, guards.digest(key), reason, actor, now)
    except NameInUse:
        detail = f"The name {name} is in use; end that key first, or take another name."
        raise Problem(409, detail, kind="name-in-use", title="The name is in use") from None
    return {"name": kept.name, "role": kept.role, "key": key}


def ended_key(keys: AdminKeys, name: str, reason: str | None, actor: Actor, now: float) -> dict[str, Any]:
    """Ends a key. `Problem` 404 where there is none, 409 for one of the environment."""
    try:
        return told_of(keys.end(name, reason, actor, now))
    except UnknownKey:
        if keys.is_taken(name):
            detail = f"{name} is a key of the environment: take it out of PAYWALL_ADMIN_KEYS or PAYWALL_SITE_KEYS."
            raise Problem(409, detail, kind="environment-key", title="The key is set elsewhere") from None
        raise Problem(404, "There is no such key.") from None


def told_of(key: AdminKey) -> dict[str, Any]:
    """A key as admins see it."""
    return {"name": key.name, "role": key.role, "created_at": write_time(key.created_at), "actor": key.actor}


def _place(key: AdminKey) -> str:
    return f"{key.created_at:019.6f} {key.name}"
