"""Sources of other providers than Stripe: `/v1/readers/{reader}/external/{provider}/{id}`."""

from __future__ import annotations

from marshmallow import fields

from service.domain.catalogue import Catalogue
from service.domain.sources import External
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.fields import JsonObject, RequestSchema
from service.entrypoints.responses.readers import SourceOut


class ExternalIn(RequestSchema):
    plan = types.identifier(required=True)
    until = types.moment(allow_none=True)


class ExternalOut(SourceOut):
    """A source of a provider, with the reader that the request named."""

    reader = fields.String(required=True)


def write_external(source: External, reader: str, catalogue: Catalogue, now: float) -> JsonObject:
    """Return a source as the API answers it, at `now`."""
    (holding,) = source.holdings(catalogue)
    return ExternalOut.write(
        {
            "reader": reader,
            "holding": holding,
            "status": holding.status_at(now),
            "standing": holding.standing_at(now),
            "reason": holding.reason,
        }
    )
