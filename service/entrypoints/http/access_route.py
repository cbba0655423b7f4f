"""`POST /v1/access` ahead of Flask: the same schema, the same desk, the same encoder, without the dispatch.

Whatever is not plainly right (another content type, a chunked body, a wrong key, a field at fault) goes on to Flask with
its body restored, and is told there what is wrong. A test holds both ways to the same answers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from service.entrypoints.http.api.access import question_of
from service.entrypoints.http.guards import Keyring
from service.entrypoints.http.request_bodies import MOST, is_json
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.http.strict_json import NotJson, loads
from service.entrypoints.responses import fields
from service.entrypoints.responses.encoder import Encoder
from service.entrypoints.responses.fields import Unsure
from service.entrypoints.responses.schemas import AccessIn
from service.use_cases.access.check import Answer, Desk

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/v1/access"

read_request = fields.compiled(AccessIn())


class HotRoute:
    """WSGI middleware that answers the hot route itself and hands everything else on."""

    def __init__(
        self,
        app: WSGIApplication,
        desk: Desk,
        encoder: Encoder,
        keyring: Keyring,
        log: RequestLog,
        clock: Callable[[], float],
        answered: Callable[[Answer], None],
    ) -> None:
        self._app = app
        self._desk = desk
        self._encoder = encoder
        self._keyring = keyring
        self._log = log
        self._clock = clock
        self._answered = answered

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start_response)
        begun = self._log.begin()
        if not self._keyring.site_headers(environ.get("HTTP_AUTHORIZATION", "")):
            return self._app(environ, start_response)
        body = self._body(environ)
        try:
            answer = self._answer(body) if body is not None else None
        except Exception:  # What nobody foresaw is told and logged in one place: Flask's view meets it again.
            answer = None
        if answer is None:
            return self._app(environ, start_response)
        request_id = self._log.end(
            begun, PATH, "POST", 200, environ.get("HTTP_X_REQUEST_ID"), show=answer[1], reason=answer[2]
        )
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(answer[0]))),
            ("Cache-Control", "private, no-store"),
            ("X-Request-Id", request_id),
        ]
        start_response("200 OK", headers)
        return [answer[0]]

    @staticmethod
    def _body(environ: WSGIEnvironment) -> bytes | None:
        """The body of a plain request, left in place for Flask as well; `None` for one that is not plain."""
        length = environ.get("CONTENT_LENGTH")
        if not length or not length.isascii() or not length.isdigit() or int(length) > MOST:
            return None
        if not is_json(environ.get("CONTENT_TYPE")):
            return None
        body: bytes = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        return body if len(body) == int(length) else None

    def _answer(self, body: bytes) -> tuple[bytes, str, str] | None:
        try:
            asked: dict[str, Any] = read_request(loads(body))
        except (NotJson, Unsure):
            return None
        tier = asked["story"].get("tier")
        if tier is not None and tier not in self._desk.catalogue.tiers:
            return None
        answer = self._desk.ask(question_of(asked), self._clock())
        decision = answer.decision
        encoded = orjson.dumps(self._encoder.access(answer, explained=asked.get("explain", False)))
        self._answered(answer)
        return encoded, decision.show, decision.reason.value
