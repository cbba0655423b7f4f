"""`/v1/readers`: the list of readers; what one holds; links to Stripe and merges; export and erasure."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.domain.times import read_time
from service.entrypoints.http import guards, inputs, lists
from service.entrypoints.http.routes import REASON, ApiRoutes, flag, query
from service.entrypoints.responses.fields import JsonObject, ReasonIn, ReasonMaybeIn, check, read_field
from service.entrypoints.responses.lists import READERS
from service.entrypoints.responses.readers import (
    AccountSummaryOut,
    ErasedOut,
    ReaderExportOut,
    ReaderOut,
    write_reader_export,
)
from service.entrypoints.responses.stripe_objects import LinkedOut, LinkIn, MergedOut, MergeIn, UnlinkedOut

AT = query("at", "Another moment: a past one as it stood, a future one if nothing changes.")
TAKE_UNKNOWN = flag("force", "Link although Stripe does not know the ID.")
FORCE = flag("force", "Erase although a subscription pays for this reader.")


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the list of readers, and the routes of one reader."""
    admin = service.subscription_admin

    @lists.add(routes, "GET /v1/readers", READERS)
    def list_readers() -> Response:
        """List every reader with a source, also a past or a scheduled one, by ID.

        `plans`, `sources`, and `until` are those of the live sources. If none is live, they are those of all.
        """
        return lists.respond(READERS, service)

    @routes.add("GET /v1/readers/<reader>", "viewer", ReaderOut, parameters=(AT,))
    def show_reader(reader: str) -> JsonObject:
        """Return a reader's access, features, sources, and meters. For a stranger, all are empty."""
        given = inputs.query_values("at").get("at")
        at = None if given is None else read_field("at", read_time, given)
        return ReaderOut.write(service.profiles.load_profile(reader, at, service.clock()))

    @routes.add("GET /v1/readers/<reader>/summary", "site", AccountSummaryOut)
    def summarize_reader(reader: str) -> JsonObject:
        """Return what the reader's account page shows: plans, their ends, and whether they renew."""
        summary = service.profiles.load_summary(reader, service.clock())
        portal = service.purchases.has_portal(reader)
        return AccountSummaryOut.write(
            {"reader": reader, "access": bool(summary.features), "summary": summary, "portal": portal}
        )

    @routes.add(
        "POST /v1/readers/<reader>/links", "granter", LinkedOut, body=LinkIn, flags=(TAKE_UNKNOWN,), repeatable=True
    )
    def link_reader(reader: str, force: bool, data: JsonObject) -> JsonObject:
        """Link a Stripe customer or subscription to this reader. This overrides all metadata."""
        target = _link_target(data)
        linked = admin.link_to_reader(
            reader, **target, actor=guards.actor(), now=service.clock(), reason=data.get("reason"), force=force
        )
        return LinkedOut.write({"reader": reader, **target, "was": linked.was})

    @routes.add(
        "DELETE /v1/readers/<reader>/links", "granter", UnlinkedOut, takes=LinkIn, refuses=(404,), parameters=(REASON,)
    )
    def unlink_reader(reader: str) -> JsonObject:
        """Remove a link to this reader. The owner is then as if the link had never been."""
        in_query = inputs.query_values("reason").get("reason")
        data = inputs.load(LinkIn)
        target, reason = _link_target(data), data.get("reason")
        if reason is None:
            reason = check(ReasonMaybeIn, {"reason": in_query})["reason"]
        admin.unlink_from_reader(reader, **target, actor=guards.actor(), now=service.clock(), reason=reason)
        return UnlinkedOut.write({"reader": reader, **target})

    @routes.add("POST /v1/readers/<reader>/merge", "owner", MergedOut, body=MergeIn, repeatable=True)
    def merge_readers(reader: str, data: JsonObject) -> JsonObject:
        """Merge the reader `from` into this one, for good. Then `from` is this reader everywhere."""
        admin.merge_readers(reader, data["from_"], guards.actor(), service.clock(), reason=data.get("reason"))
        return MergedOut.write({"reader": reader, "from_": data["from_"]})

    @routes.add("GET /v1/readers/<reader>/export", "owner", ReaderExportOut)
    def export_reader(reader: str) -> JsonObject:
        """Return everything that is kept of a reader: what they hold, its history, and the audit records."""
        return write_reader_export(service.export.collect(reader, service.clock()))

    @routes.add("DELETE /v1/readers/<reader>", "owner", ErasedOut, reason=ReasonIn, flags=(FORCE,), refuses=(409,))
    def erase_reader(reader: str, reason: str, force: bool) -> JsonObject:
        """Erase a reader everywhere. Only a hash of the ID stays, so that Stripe does not bring them back."""
        return ErasedOut.write(service.erasure.erase(reader, reason, guards.actor(), service.clock(), force=force))


def _link_target(data: JsonObject) -> dict[str, str]:
    """Return the customer or the subscription that a body names. Raises: InvalidFields."""
    target = {kind: data[kind] for kind in ("customer", "subscription") if data.get(kind) is not None}
    if len(target) != 1:
        message = "give either customer or subscription"
        raise InvalidFields([("customer", message), ("subscription", message)])
    return target
