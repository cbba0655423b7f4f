"""All the views, put together."""

from __future__ import annotations

from flask import Flask

from service.entrypoints.http.admin import (
    approvals,
    audit,
    events,
    imports,
    keys,
    overview,
    passes,
    reader,
    search,
    seats,
)
from service.entrypoints.http.admin import explain as why
from service.entrypoints.http.admin import privacy as rights
from service.entrypoints.http.admin import reader_actions as acts
from service.entrypoints.http.admin.frame import Frame


def register(page: Flask, frame: Frame) -> None:
    """Adds every view."""
    for view in (overview, search, reader, acts, rights, why, seats, imports, approvals, passes, events, audit, keys):
        view.register(page, frame)
