"""Readers, their grants, and their subscriptions at other providers: `/v1/readers/{reader}`, `…/grants`, and `…/external`."""

from __future__ import annotations

from marshmallow import fields, validate

from service.domain.catalogue import Catalogue
from service.domain.sources import External, Grant
from service.entrypoints.responses import fields as types
from service.entrypoints.responses.access import ReaderMeterOut
from service.entrypoints.responses.fields import JsonObject, RequestSchema, ResponseSchema
from service.entrypoints.responses.groups import HeldSeatOut, OwnedGroupOut
from service.use_cases.privacy.export import ReaderExport

GRANT_STATUSES = ("active", "scheduled", "expired", "revoked")
STANDINGS = ("good", "grace", "ended", "none")


class GrantIn(RequestSchema):
    plan = types.identifier(allow_none=True)
    features = fields.List(
        types.identifier(), allow_none=True, validate=validate.Length(1, error="must name a feature")
    )
    reason = types.reason(required=True)
    # `from` is a word of the language, so the attribute has another name.
    from_ = types.moment(allow_none=True, data_key="from")
    until = types.moment(required=True, allow_none=True)


class GrantChangeIn(RequestSchema):
    until = types.moment(required=True, allow_none=True)
    reason = types.reason(required=True)


class GrantChangesIn(RequestSchema):
    """Either `until` or `revoke`; `grants` chooses by ID, and the query by the filters of the list."""

    grants = fields.List(types.identifier(), validate=validate.Length(1, error="must name a grant"))
    until = types.moment(allow_none=True)
    revoke = types.Read(types.read_bool, {"type": "boolean"})
    reason = types.reason(required=True)


class GrantOut(ResponseSchema):
    id = fields.String(attribute="grant.id", required=True)
    reader = fields.String(required=True)
    plan = fields.String(attribute="grant.plan", required=True, allow_none=True)
    features = fields.List(fields.String(), attribute="grant.features", required=True)
    reason = fields.String(attribute="grant.reason", required=True)
    from_ = types.UtcTime(attribute="grant.start", required=True, data_key="from")
    until = types.UtcTime(attribute="grant.until", required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(GRANT_STATUSES))
    actor = fields.String(attribute="grant.actor", required=True)
    created_at = types.UtcTime(attribute="grant.created_at", required=True)
    import_ = fields.String(attribute="grant.import_id", required=True, allow_none=True, data_key="import")


class FeatureOut(ResponseSchema):
    feature = fields.String(required=True)
    until = types.UtcTime(attribute="holding.until", required=True, allow_none=True)
    source = fields.String(attribute="holding.key", required=True)


class SourceOut(ResponseSchema):
    type = fields.String(attribute="holding.type", required=True)
    id = fields.String(attribute="holding.id", required=True)
    plan = fields.String(attribute="holding.plan", required=True, allow_none=True)
    features = fields.List(fields.String(), attribute="holding.features", required=True)
    status = fields.String(required=True)
    standing = fields.String(required=True, validate=validate.OneOf(STANDINGS))
    from_ = types.UtcTime(attribute="holding.start", required=True, allow_none=True, data_key="from")
    until = types.UtcTime(attribute="holding.until", required=True, allow_none=True)
    ending = fields.Boolean(attribute="holding.ending", required=True)
    confirmed = fields.Boolean(attribute="holding.confirmed", required=True)
    reason = fields.String(required=True, allow_none=True)
    actor = fields.String(attribute="holding.actor", required=True, allow_none=True)


class ExternalIn(RequestSchema):
    plan = types.identifier(required=True)
    until = types.moment(allow_none=True)


class ExternalOut(SourceOut):
    """A source of a provider, with the reader that the request named."""

    reader = fields.String(required=True)


class ReaderOut(ResponseSchema):
    """Written from a `ReaderProfile`."""

    reader = fields.String(required=True)
    access = fields.Boolean(required=True)
    features = fields.List(fields.Nested(FeatureOut), required=True)
    sources = fields.List(fields.Nested(SourceOut), required=True)
    customers = fields.List(fields.String(), required=True)
    meters = fields.List(fields.Nested(ReaderMeterOut), required=True)


class ListedReaderOut(ResponseSchema):
    """A reader in a list, written from a `ListedReader`."""

    reader = fields.String(required=True)
    access = fields.Boolean(attribute="state.access", required=True)
    plans = fields.List(fields.String(), attribute="state.plans", required=True)
    sources = fields.List(fields.String(), attribute="state.sources", required=True)
    standing = fields.String(attribute="state.standing.value", required=True, validate=validate.OneOf(STANDINGS))
    until = types.UtcTime(attribute="state.until", required=True, allow_none=True)
    customers = fields.List(fields.String(), required=True)
    changed_at = types.UtcTime(required=True, allow_none=True)


class HeldPlanOut(ResponseSchema):
    plan = fields.String(required=True)
    name = fields.String(required=True)
    until = types.UtcTime(required=True, allow_none=True)
    renews = fields.Boolean(required=True)


class AccountSummaryOut(ResponseSchema):
    """What a reader's own account page shows, written from an `AccountSummary`."""

    reader = fields.String(required=True)
    access = fields.Boolean(required=True)
    features = fields.List(fields.String(), attribute="summary.features", required=True)
    plans = fields.List(fields.Nested(HeldPlanOut), attribute="summary.plans", required=True)
    portal = fields.Boolean(required=True)


class HistoryEntryOut(ResponseSchema):
    at = types.UtcTime(required=True)
    type = fields.String(required=True)
    id = fields.String(required=True)
    facts = fields.Raw(required=True, allow_none=True)
    cause = fields.String(required=True)


class HeldPriceOut(ResponseSchema):
    """A price that a subscription of the reader had: kept so that a plan's trial is not given twice."""

    price = fields.String(required=True)
    lookup_key = fields.String(required=True, allow_none=True)
    product = fields.String(required=True, allow_none=True)
    subscription = fields.String(required=True)
    created = types.UtcTime(required=True)


class ExportedOut(ResponseSchema):
    """What an export has beside the profile, written from a `ReaderExport`."""

    merged = fields.List(fields.String(), required=True)
    history = fields.List(fields.Nested(HistoryEntryOut), required=True)
    held_prices = fields.List(fields.Nested(HeldPriceOut), required=True)
    stripe_objects = fields.List(fields.String(), required=True)
    groups = fields.List(fields.Nested(OwnedGroupOut), required=True)
    seats = fields.List(fields.Nested(HeldSeatOut), required=True)
    erased_at = types.UtcTime(required=True, allow_none=True)
    audit = fields.List(fields.Dict(), required=True)
    head = fields.String(required=True)


class ReaderExportOut(ExportedOut, ReaderOut):
    """The profile, and what an export has beside it."""


class ErasedOut(ResponseSchema):
    """Written from an `ErasureResult`."""

    erased = fields.Dict(keys=fields.String(), values=fields.Integer(), attribute="counts", required=True)
    files_rewritten = fields.Boolean(required=True)


def write_grant(grant: Grant, reader: str, now: float) -> JsonObject:
    """Return a grant as admins see it."""
    return GrantOut.write({"grant": grant, "reader": reader, "status": grant.status_at(now)})


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


def write_reader_export(export: ReaderExport) -> JsonObject:
    """Return everything that is kept of a reader."""
    return {**ReaderOut.write(export.profile), **ExportedOut.write(export)}
