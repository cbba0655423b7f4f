"""A reader's rights: everything that is kept of one reader, and erasing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify
from marshmallow import fields

from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.readers import source_codec
from service.adapters.redis.readers.readers import ReaderChange, ReaderCustomers, Readers
from service.domain.errors import LiveSubscription
from service.domain.sources import Source
from service.domain.times import write_time
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api.access import private
from service.entrypoints.http.api.readers import path_reader, tell
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.http.openapi_description import REASON, described, query
from service.entrypoints.http.query_parameters import taken
from service.entrypoints.responses.schemas import Answer, ReaderOut, ReasonIn
from service.use_cases.access.reader_profile import Profiles
from service.use_cases.grants.imports.pacing import Pace
from service.use_cases.privacy.erasure import Erasing, Erasure, Person

FORCE = query("force", "Erase although somebody pays for this reader.", {"type": "boolean", "default": False})
_REST = 1.0


class HistoryEntryOut(Answer):
    at = fields.String(required=True, metadata={"format": "date-time"})
    type = fields.String(required=True)
    id = fields.String(required=True)
    facts = fields.Raw(required=True, allow_none=True)
    cause = fields.String(required=True)


class ReaderExportOut(ReaderOut):
    merged = fields.List(fields.String(), required=True)
    history = fields.List(fields.Nested(HistoryEntryOut), required=True)
    stripe_objects = fields.List(fields.String(), required=True)
    erased_at = fields.String(required=True, allow_none=True)
    audit = fields.List(fields.Dict(), required=True)
    head = fields.String(required=True)


class ErasedOut(Answer):
    erased = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    files_rewritten = fields.Boolean(required=True)


class Export:
    """Tells everything that is kept of a reader."""

    def __init__(
        self, profiles: Profiles, readers: Readers, customers: ReaderCustomers, audit_log: AuditLog, erasure: Erasure
    ) -> None:
        self._profiles = profiles
        self._readers = readers
        self._customers = customers
        self._audit_log = audit_log
        self._erasure = erasure

    def of(self, reader: str, now: float) -> dict[str, Any]:
        """The reader's answer, and what else is kept: under every id that she went by."""
        person = self._erasure.person(reader)
        erased = self._readers.erased_at(*person.names)
        return {
            **tell(self._profiles, reader, None, now),
            "merged": [name for name in person.names if name != reader],
            "history": [_change(change) for change in self._profiles.past.changes(person.reader)],
            "stripe_objects": sorted({name for own in person.names for name in self._customers.list_objects(own)}),
            "erased_at": write_time(erased),
            "audit": self._audit(person),
            "head": str(self._audit_log.state().head),
        }

    def _audit(self, person: Person) -> list[dict[str, Any]]:
        found = {record["seq"]: record for name in person.names for record in self._audit_log.list_for_reader(name)}
        return [found[seq] for seq in sorted(found)]


def blueprint(export: Export, erasure: Erasure, clock: Callable[[], float]) -> Blueprint:
    """The two routes; both are the owners'."""
    blp = Blueprint("privacy", __name__)
    reason_in = ReasonIn()

    @blp.get("/v1/readers/<reader>/export")
    @described(gives={200: ReaderExportOut}, tag="readers")
    @guards.admin("owner")
    def export_reader(reader: str) -> Response:
        """Everything that is kept of a reader: what she holds, its history, the audit records about her."""
        return private(export.of(path_reader(reader), clock()))

    @blp.delete("/v1/readers/<reader>")
    @described(
        takes=ReasonIn,
        body_required=False,
        gives={200: ErasedOut},
        refuses=(409,),
        parameters=(REASON, FORCE),
        tag="readers",
    )
    @guards.admin("owner")
    def erase_reader(reader: str) -> Response:
        """Erases a reader everywhere; only a hash of the id stays, so that Stripe does not bring her back."""
        name, force = path_reader(reader), _force()
        reason = bodies.reason(reason_in, also=("force",)) or ""
        return jsonify(told_of(erased(erasure, name, reason, guards.actor(), clock(), force)))

    return blp


def erased(erasure: Erasure, reader: str, reason: str, actor: Actor, now: float, force: bool) -> Erasing:
    """Erases. `Problem` 409 while somebody pays for this reader."""
    try:
        return erasure.erase(reader, reason, actor, now, force=force, step=Pace(_REST).step)
    except LiveSubscription as live:
        detail = f"Somebody still pays for this reader ({', '.join(live.ids)}): end that first, or send force=true."
        raise Problem(409, detail, kind="live-subscription", title="A subscription is live") from None


def told_of(done: Erasing) -> dict[str, Any]:
    """What was erased, as it is told."""
    return {"erased": done.counts, "files_rewritten": done.files_rewritten}


def _change(change: ReaderChange) -> dict[str, Any]:
    letter, _, name = change.field.decode().partition(":")
    source = source_codec.decode(change.field, change.record) if change.record else None
    return {
        "at": write_time(change.at),
        "type": _TYPES.get(letter, letter),
        "id": name,
        "facts": _facts(source),
        "cause": change.cause,
    }


def _facts(source: Source | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {name: _plain(getattr(source, name)) for name in source.__dataclass_fields__ if name != "id"}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return (
        {n: getattr(value, n) for n in value.__dataclass_fields__} if hasattr(value, "__dataclass_fields__") else value
    )


_TYPES = {"s": "subscription", "t": "seat", "f": "gift", "p": "pass", "g": "grant", "e": "stripe_entitlement"}


def _force() -> bool:
    given = taken("force", "reason").get("force", "false")
    if given not in ("true", "false"):
        raise invalid([("force", "must be true or false")])
    return given == "true"
