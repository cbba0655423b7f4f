"""`/v1/keys`: an owner creates and ends admin keys at run time. A key is shown once; the store keeps a hash of it."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from service.adapters.redis.staff.admin_keys import AdminKeyCache
from service.adapters.redis.staff.idempotency import IdempotencyStore
from service.bootstrap import Service
from service.domain.ids import read_key_name
from service.entrypoints.http import guards, lists
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.openapi_description import AFTER, IDEMPOTENCY_KEY, LIMIT, REASON, described
from service.entrypoints.responses.administration import KeyIn, KeyOut, KeysOut, NewKeyOut, write_key, write_new_key
from service.entrypoints.responses.lists import KEYS, list_keys
from service.entrypoints.responses.shared_schemas import ReasonMaybeIn
from service.entrypoints.responses.validation import read_field


def blueprint(service: Service, repeated: IdempotencyStore, book: AdminKeyCache) -> Blueprint:
    """Return the routes of keys. `book`: this process's copy of them, which forgets what changes here."""
    blp = Blueprint("keys", __name__)
    keys, key_in, reason_in = service.admin_keys, KeyIn(), ReasonMaybeIn()

    @blp.post("/v1/keys")
    @described(takes=KeyIn, gives={201: NewKeyOut}, refuses=(409,), parameters=(IDEMPOTENCY_KEY,), tag="keys")
    @guards.admin("owner")
    def make_key() -> Response:
        """Create an admin key; this answer is the only time that it is shown."""
        data = bodies.load(key_in)

        def create() -> Response:
            name, role = data["name"], data["role"]
            secret = keys.create(name, role, data.get("reason"), guards.actor(), service.clock())
            book.invalidate()
            return lists.private(write_new_key(name, role, secret), 201)

        return repeats.once(repeated, create)

    @blp.get("/v1/keys")
    @described(gives={200: lists.or_csv(KeysOut)}, parameters=(LIMIT, AFTER), tag="keys")
    @guards.admin("viewer")
    def show_keys() -> Response:
        """The keys that owners created, newest first, without the keys themselves; CSV where Accept asks for text/csv."""
        return lists.answer(KEYS, list_keys(keys, lists.asked(KEYS)))

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
        """End a key: within two seconds no worker accepts it."""
        checked, reason = read_field("name", read_key_name, name), bodies.reason(reason_in)
        ended = keys.end(checked, reason, guards.actor(), service.clock())
        book.invalidate()
        return jsonify(write_key(ended))

    return blp
