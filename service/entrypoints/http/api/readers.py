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
        """A reader's access, features, sources and meters; empty for a stranger."""
        given = inputs.taken("at").get("at")
        at = None if given is None else read_field("at", read_time, given)
        return ReaderOut.write(service.profiles.load_profile(reader, at, service.clock()))

    @routes.add("GET /v1/readers/<reader>/summary", "site", AccountSummaryOut)
    def summarize_reader(reader: str) -> JsonObject:
        """What the reader's own account page shows: plans, their ends, and whether they renew. Empty for a stranger."""
        summary = service.profiles.load_summary(reader, service.clock())
        portal = service.purchases.has_portal(reader)
        return AccountSummaryOut.write(
            {"reader": reader, "access": bool(summary.features), "summary": summary, "portal": portal}
        )

    _register_links(routes, service)

    @routes.add("POST /v1/readers/<reader>/merge", "owner", MergedOut, takes=MergeIn, repeatable=True)
    def merge_readers(reader: str) -> Response:
        """Merge the reader `from` into this one, for good: `from` is answered as this reader everywhere."""
        data = inputs.load(MergeIn)

        def merge() -> JsonObject:
            admin.merge_readers(reader, data["from_"], guards.actor(), service.clock(), reason=data.get("reason"))
            return MergedOut.write({"reader": reader, "from_": data["from_"]})

        return routes.once(merge)

    @routes.add("GET /v1/readers/<reader>/export", "owner", ReaderExportOut)
    def export_reader(reader: str) -> JsonObject:
        """Everything that is kept of a reader: what they hold, its history, the audit records about them."""
        return write_reader_export(service.export.collect(reader, service.clock()))

    @routes.add("DELETE /v1/readers/<reader>", "owner", ErasedOut, reason=ReasonIn, refuses=(409,), parameters=(FORCE,))
    def erase_reader(reader: str) -> JsonObject:
        """Erase a reader everywhere; only a hash of the ID stays, so that Stripe does not bring them back."""
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
        """Link a customer or a subscription of Stripe's to this reader, above all metadata."""
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
        """Remove a link to this reader; then the owner is as if there had never been a link."""
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
