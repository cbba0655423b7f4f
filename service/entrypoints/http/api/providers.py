"""`/v1/readers/{reader}/external/{provider}/{id}`: one subscription that is not Stripe's."""

from __future__ import annotations

from service.bootstrap import Service
from service.entrypoints.http import guards, inputs
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import JsonObject, ReasonMaybeIn
from service.entrypoints.responses.providers import ExternalIn, ExternalOut, write_external
from service.use_cases.providers.external_sources import ExternalReport

ONE = "/v1/readers/<reader>/external/<provider>/<any_id:external_id>"


def register(routes: ApiRoutes, service: Service) -> None:
    """Add the routes of a single source; its ID may hold slashes."""
    external, catalogue = service.external_sources, service.settings.catalogue

    @routes.add(f"PUT {ONE}", "granter", ExternalOut, takes=ExternalIn, refuses=(404,))
    def put_external(reader: str, provider: str, external_id: str) -> JsonObject:
        """Report that a reader has a subscription of this provider: its plan, and until when (null: until it is ended).

        A repeat changes nothing. A subscription with this ID that another reader has moves to this one.
        """
        external.find_provider(provider)
        data, now = inputs.load(ExternalIn), service.clock()
        until = None if data.get("until") is None else int(data["until"])
        report = ExternalReport(provider, external_id, reader, guards.actor(), now)
        return write_external(external.write_source(report, data["plan"], until), reader, catalogue, now)

    @routes.add(f"DELETE {ONE}", "granter", ExternalOut, reason=ReasonMaybeIn, refuses=(404,))
    def end_external(reader: str, provider: str, external_id: str) -> JsonObject:
        """End a reader's subscription of this provider at once; one that has ended stays as it is."""
        reason, now = inputs.reason(ReasonMaybeIn), service.clock()
        report = ExternalReport(provider, external_id, reader, guards.actor(), now)
        return write_external(external.end_source(report, reason), reader, catalogue, now)
