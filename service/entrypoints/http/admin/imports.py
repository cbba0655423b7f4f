"""Importing grants from a file: first what it would do, as a table; then for good; how far it is; undoing it.

A file is imported only after this very file was checked: its mark, which the check gave, has to come along.
"""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request, url_for

from service.adapters.redis.audit.chain import Wanted
from service.adapters.redis.grants.imports import Action
from service.entrypoints.http import idempotency as repeats
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.frame import Frame, actor, form, needs, once, session, show
from service.entrypoints.http.admin.reader_actions import WAITS
from service.entrypoints.http.api.imports import checked, known, mistakes, sheet_of
from service.entrypoints.http.api.links_and_seats import path_id
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.responses.schemas import ReasonIn
from service.use_cases.grants.imports import csv_file as import_sheet
from service.use_cases.grants.imports.grant_imports import Waiting
from service.use_cases.grants.imports.pacing import Pace
from service.use_cases.grants.imports.progress import told_of
from service.use_cases.grants.imports.staging import WrongRows

PREVIEW = 50
"""Lines of a file that the check shows, those with mistakes first."""
LATEST = 5
"""Imports that the page begins with, so that one is found again to be undone."""
_REST = 1.0


def register(page: Flask, frame: Frame) -> None:
    """Adds imports."""
    _add_file(page, frame)
    _add_progress(page, frame)


def _add_file(page: Flask, frame: Frame) -> None:
    imports, catalogue = frame.service.imports, frame.service.desk.catalogue

    @page.get("/imports")
    @needs("granter")
    def imports_form() -> Response:
        return _page(frame, checked=None, problem=None)

    @page.post("/imports")
    @needs("granter")
    def take_file() -> Response:
        """Checks a file; or imports it, where it is the one that was checked and everything in it is right."""
        try:
            body = _file()
            mark = _mark(frame, body)
            if form("go") is not None and hmac.compare_digest(form("mark") or "", mark):
                return once(frame, lambda: _import(body))
            return _checked(body, mark)
        except Problem as problem:
            return _page(frame, checked=None, problem=problem)

    def _checked(body: bytes, mark: str) -> Response:
        now, pace = frame.now, Pace(_REST)
        sheet = sheet_of(body, catalogue, now, pace)
        actions: dict[int, Action] = {}
        told = checked(imports, sheet, now, pace, actions)
        lines = _lines(body, told["errors"], actions)
        return _page(
            frame, checked={**told, "mark": mark, "lines": lines, "again": form("go") is not None}, problem=None
        )

    def _import(body: bytes) -> tuple[str, str]:
        now, pace = frame.now, Pace(_REST)
        sheet = sheet_of(body, catalogue, now, pace)
        try:
            done = imports.submit(sheet, actor(), now, pace, named=repeats.token())
        except WrongRows as wrong:
            raise invalid(
                [(f"line {m['line']}, {m['field']}", m["message"]) for m in mistakes(wrong.mistakes)]
            ) from None
        if isinstance(done, Waiting):
            return WAITS, url_for("import_shown", id=done.manifest.id)
        return "The import has begun.", url_for("import_shown", id=done.id)


def _page(frame: Frame, **values: Any) -> Response:
    """The whole page, with the latest imports below; or what htmx puts into it."""
    problem = values["problem"]
    status = problem.status if problem is not None else 200
    if "HX-Request" in request.headers:
        return show("imports_part.html", status=status, **values)
    latest, _ = frame.service.audit_log.page(Wanted(action="import.apply"), limit=LATEST, after=None)
    return show("imports.html", status=status, latest=latest, **values)


def _add_progress(page: Flask, frame: Frame) -> None:
    imports = frame.service.imports

    @page.get("/import")
    @needs("viewer")
    def import_shown() -> Response:
        return _progress(path_id("import", request.args.get("id", "").strip()))

    @page.post("/import/undo")
    @needs("granter")
    def undo_import() -> Response:
        name = path_id("import", form("id") or "")

        def work() -> tuple[str, str]:
            reason = bodies.check(ReasonIn(), {"reason": request.form.get("reason", "")})["reason"]
            known(lambda: imports.undo(name, reason, actor(), frame.now))
            return "Undoing has begun: what this import gave is taken back, and nothing else.", url_for(
                "import_shown", id=name
            )

        try:
            return once(frame, work)
        except Problem as problem:
            if problem.status == 404:
                raise
            return _progress(name, problem)

    def _progress(name: str, problem: Problem | None = None) -> Response:
        told = told_of(known(lambda: imports.find(name)))
        part = "HX-Request" in request.headers
        status = problem.status if problem is not None else 200
        return show("import_part.html" if part else "import.html", status=status, told=told, problem=problem)


def _file() -> bytes:
    """The file that was sent. `Problem` 413, 422."""
    sent = request.files.get("file")
    body = sent.stream.read(import_sheet.MOST_BYTES + 1) if sent is not None else b""
    if not body:
        raise invalid([("file", "choose a file that is not empty")])
    if len(body) > import_sheet.MOST_BYTES:
        raise Problem(413, "The file is larger than 16 MiB; send it in parts.")
    return body


def _mark(frame: Frame, body: bytes) -> str:
    """Stands for a file that this session has had checked."""
    return frame.service.secrets.signer("session").mark(b"file:" + session().id.encode() + b":" + body)


def _lines(body: bytes, wrong: list[dict[str, Any]], actions: Mapping[int, Action]) -> list[dict[str, Any]]:
    """Lines of the file as they stand there, with what is wrong or would be done; those with mistakes first."""
    found: dict[int, list[dict[str, Any]]] = {}
    for mistake in wrong:
        found.setdefault(mistake["line"], []).append(mistake)
    rows = csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""))
    faulty: list[dict[str, Any]] = []
    right: list[dict[str, Any]] = []
    try:
        line = rows.line_num + 1
        for cells in rows:
            if line > 1 and cells:
                told = {"line": line, "cells": (cells + [""] * 4)[:4], "wrong": found.get(line, [])}
                told["action"] = actions.get(line)
                kept = faulty if told["wrong"] else right
                if len(kept) < PREVIEW:
                    kept.append(told)
            line = rows.line_num + 1
            if len(right) >= PREVIEW and len(faulty) >= min(PREVIEW, len(found)):
                break
    except csv.Error:
        pass  # The check has said so already.
    return [*faulty, *right][:PREVIEW]
