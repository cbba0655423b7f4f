"""A reader's rights: all that is kept of her as a file, and erasing her, which takes her id typed once more."""

from __future__ import annotations

from flask import Flask, Response, request

from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.admin.frame import Frame, actor, asked, form, needs
from service.entrypoints.http.admin.reader import the_reader
from service.entrypoints.http.admin.reader_actions import trying
from service.entrypoints.http.api.privacy import erased
from service.entrypoints.http.errors import Problem, invalid
from service.entrypoints.responses.schemas import ReasonIn


def register(page: Flask, frame: Frame) -> None:
    """Adds both."""
    service = frame.service

    @page.get("/reader/export")
    @needs("owner")
    def export() -> Response:
        told = service.export.of(the_reader(asked("id")), frame.now)
        answer = page.response_class(page.json.dumps(told, indent=2, ensure_ascii=False), mimetype="application/json")
        # The id may hold anything; a file's name had better not.
        answer.headers["Content-Disposition"] = 'attachment; filename="reader.json"'
        return answer

    @page.post("/reader/erase")
    @needs("owner")
    def erase() -> Response:
        reader = the_reader(form("id"))

        def work() -> str:
            if form("typed") != reader:
                raise invalid([("typed", "is not this reader's id: nothing was erased")])
            reason = bodies.check(ReasonIn(), {"reason": request.form.get("reason", "")})["reason"]
            try:
                done = erased(service.erasure, reader, reason, actor(), frame.now, form("force") is not None)
            except Problem as live:
                who_pays = live.detail.partition(":")[0]
                raise Problem(live.status, f"{who_pays}: end that at Stripe first, or tick the box below.") from None
            return f"Erased: {sum(done.counts.values())} records are gone. A hash of the id stays, and nothing else."

        return trying(frame, "erase", reader, work)
