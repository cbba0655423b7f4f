"""`/v1/readers/{reader}`: what a reader holds; links to Stripe and merges; export and erasure."""

from __future__ import annotations

from flask import Response

from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.domain.times import read_time
from service.entrypoints.http import guards, inputs
from service.entrypoints.http.routes import REASON, ApiRoutes, query
from service.entrypoints.responses.fields import JsonObject, ReasonIn, ReasonMaybeIn, check, read_field
from service.entrypoints.responses.readers import (
    AccountSummaryOut,
    ErasedOut,
    ReaderExportOut,
    ReaderOut,
    write_reader_export,
)
from service.entrypoints.responses.stripe_objects import LinkedOut, LinkIn, MergedOut, MergeIn, UnlinkedOut

AT = query("at", "Another moment: a past one as it stood, a future one if nothing changes.", {"type": "string"})
TAKE_UNKNOWN = query("force", "Link although Stripe does not know the ID.", {"type": "boolean", "default": False})
FORCE = query("force", "Erase although a subscription pays for this reader.", {"type": "boolean", "default": False})


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of one reader."""
    admin = service.subscription_admin

    @routes.add("GET /v1/readers/<reader>", "viewer", ReaderOut, parameters=(AT,))
    def show_reader(reader: str) -> JsonObject:
        """Return a reader's access, features, sources, and meters. For a stranger, all are empty."""
        given = inputs.taken("at").get("at")
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

    _register_links(routes, service)

    @routes.add("POST /v1/readers/<reader>/merge", "owner", MergedOut, takes=MergeIn, repeatable=True)
    def merge_readers(reader: str) -> Response:
        """Merge the reader `from` into this one, for good. Then `from` is this reader everywhere."""
        data = inputs.load(MergeIn)

        def merge() -> JsonObject:
            admin.merge_readers(reader, data["from_"], guards.actor(), service.clock(), reason=data.get("reason"))
            return MergedOut.write({"reader": reader, "from_": data["from_"]})

        return routes.once(merge)

    @routes.add("GET /v1/readers/<reader>/export", "owner", ReaderExportOut)
    def export_reader(reader: str) -> JsonObject:
        """Return everything that is kept of a reader: what they hold, its history, and the audit records."""
        return write_reader_export(service.export.collect(reader, service.clock()))

    @routes.add("DELETE /v1/readers/<reader>", "owner", ErasedOut, reason=ReasonIn, refuses=(409,), parameters=(FORCE,))
    def erase_reader(reader: str) -> JsonObject:
        """Erase a reader everywhere. Only a hash of the ID stays, so that Stripe does not bring them back."""
        force = inputs.flag("force", "reason")
        reason = inputs.reason(ReasonIn, also=("force",)) or ""
        return ErasedOut.write(service.erasure.erase(reader, reason, guards.actor(), service.clock(), force=force))


def _register_links(routes: ApiRoutes, service: Service) -> None:
    admin = service.subscription_admin

    @routes.add(
        "POST /v1/readers/<reader>/links",
        "granter",
        LinkedOut,
        takes=LinkIn,
        parameters=(TAKE_UNKNOWN,),
        repeatable=True,
    )
    def link_reader(reader: str) -> Response:
        """Link a Stripe customer or subscription to this reader. This overrides all metadata."""
        force = inputs.flag("force")
        target, reason = _link_in_body()

        def link() -> JsonObject:
            linked = admin.link_to_reader(
                reader, **target, actor=guards.actor(), now=service.clock(), reason=reason, force=force
            )
            return LinkedOut.write({"reader": reader, **target, "was": linked.was})

        return routes.once(link)

    @routes.add(
        "DELETE /v1/readers/<reader>/links",
        "granter",
        UnlinkedOut,
        takes=LinkIn,
        refuses=(404,),
        parameters=(REASON,),
    )
    def unlink_reader(reader: str) -> JsonObject:
        """Remove a link to this reader. The owner is then as if the link had never been."""
        in_query = inputs.taken("reason").get("reason")
        target, reason = _link_in_body()
        if reason is None:
            reason = check(ReasonMaybeIn, {"reason": in_query})["reason"]
        admin.unlink_from_reader(reader, **target, actor=guards.actor(), now=service.clock(), reason=reason)
        return UnlinkedOut.write({"reader": reader, **target})


def _link_in_body() -> tuple[dict[str, str], str | None]:
    """Return the customer or the subscription that the body names, and the reason. Raises: InvalidFields."""
    data = inputs.load(LinkIn)
    target = {kind: data[kind] for kind in ("customer", "subscription") if data.get(kind) is not None}
    if len(target) != 1:
        message = "give either customer or subscription"
        raise InvalidFields([("customer", message), ("subscription", message)])
    return target, data.get("reason")
