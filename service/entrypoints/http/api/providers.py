"""Subscriptions that are not Stripe's: one (`/v1/readers/{reader}/external/{provider}/{id}`), or a provider's whole set."""

from __future__ import annotations

from service.bootstrap import Service
from service.entrypoints.http import guards, inputs
from service.entrypoints.http.api.imports import DRY_RUN
from service.entrypoints.http.routes import ApiRoutes, flag
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn
from service.entrypoints.responses.imports import SnapshotDryRunOut, SnapshotOut, write_import, write_snapshot_dry_run
from service.entrypoints.responses.readers import ExternalIn, ExternalOut, write_external
from service.use_cases.imports.pacing import Pace
from service.use_cases.providers import snapshot_file
from service.use_cases.providers.external_sources import ExternalReport, find_provider

FORCE = flag("force", "Take it although it ends more subscriptions than largest_drop allows.")
CSV = {
    "text/csv": {"schema": {"type": "string"}, "example": "id,reader,plan,until\n4711,r-1042,supporter,2027-06-30\n"}
}
ONE = "/v1/readers/<reader>/external/<provider>/<any_id:external_id>"


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of a single source, whose ID may hold slashes, and of snapshots."""
    external, snapshots, catalogue = service.external_sources, service.snapshots, service.settings.catalogue

    @routes.add(f"PUT {ONE}", "granter", ExternalOut, takes=ExternalIn)
    def put_external(reader: str, provider: str, external_id: str) -> JsonObject:
        """Report that a reader has a subscription of this provider: its plan, and until when (null: until it is ended).

        A repeat changes nothing. A subscription with this ID that another reader has moves to this one.
        """
        find_provider(catalogue, provider)
        data, now = inputs.load(ExternalIn), service.clock()
        until = None if data.get("until") is None else int(data["until"])
        report = ExternalReport(provider, external_id, reader, guards.actor(), now)
        return write_external(external.write_source(report, data["plan"], until), reader, catalogue, now)

    @routes.add(f"DELETE {ONE}", "granter", ExternalOut, reason=ReasonMaybeIn)
    def end_external(reader: str, provider: str, external_id: str, reason: str | None) -> JsonObject:
        """End a reader's subscription of this provider at once; one that has ended stays as it is."""
        now = service.clock()
        report = ExternalReport(provider, external_id, reader, guards.actor(), now)
        return write_external(external.end_source(report, reason), reader, catalogue, now)

    @routes.add(
        "PUT /v1/providers/<provider>/snapshot",
        "granter",
        {200: SnapshotDryRunOut, 202: SnapshotOut},
        takes=CSV,
        parameters=(DRY_RUN, FORCE),
        refuses=(409,),
    )
    def put_snapshot(provider: str) -> tuple[JsonObject, int]:
        """Replace all subscriptions of a provider by a CSV: `id,reader,plan,until`, at most 500 000 rows and 64 MiB.

        Subscriptions that the file no longer lists end at once. With an empty `until`, a subscription runs until a later file
        no longer lists it. Wrong rows are named with line and field, and nothing is changed then. A file that ends more than
        `largest_drop` is refused, unless it is forced.
        """
        find_provider(catalogue, provider)  # An unknown provider is a 404, whatever else is wrong with the request.
        query = inputs.query_values("dry_run", "force")
        dry_run, force = inputs.flag(query, "dry_run"), inputs.flag(query, "force")
        body, now, pace = inputs.csv_file(snapshot_file.FORMAT.most_bytes), service.clock(), Pace()
        sheet = snapshot_file.read(body, catalogue, now, pace)
        if dry_run:
            return write_snapshot_dry_run(sheet, snapshots.dry_run(provider, sheet, now, pace, force=force)), 200
        done = snapshots.submit(provider, sheet, guards.actor(), now, pace, force=force)
        return write_import(done), 202

    @routes.add("GET /v1/providers/<provider>/snapshot/<import_id>", "viewer", SnapshotOut)
    def show_snapshot(provider: str, import_id: str) -> JsonObject:
        """Return the progress of a snapshot."""
        return write_import(snapshots.find(provider, import_id))
