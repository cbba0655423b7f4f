"""All the views, put together."""

from __future__ import annotations

from flask import Flask

from service.web.admin import (
    acts,
    approvals,
    audit,
    events,
    imports,
    keys,
    overview,
    passes,
    reader,
    rights,
    search,
    seats,
    why,
)
from service.web.admin.frame import Frame


def register(page: Flask, frame: Frame) -> None:
    """Adds every view."""
    for view in (overview, search, reader, acts, rights, why, seats, imports, approvals, passes, events, audit, keys):
        view.register(page, frame)
