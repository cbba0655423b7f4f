"""`POST /v1/access` ahead of Flask, for speed: the same schemas and the same access check, without Flask's dispatch.

A request that is not plainly right (another content type, a chunked body, a wrong key, an invalid field) goes on to Flask
with its body restored, and Flask's view answers what is wrong. A test holds both to the same answers.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from service.bootstrap import Service
from service.entrypoints.http.guards import Keyring
from service.entrypoints.http.request_bodies import MOST, NotJson, is_json, parse_json
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.responses.access import AccessIn, AccessWriter, question_of
from service.entrypoints.responses.fields import Unsure, compile_reader

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/v1/access"

read_question = compile_reader(AccessIn())


class AccessRoute:
    """WSGI middleware that answers the access route itself and passes everything else on."""

    def __init__(
        self, app: WSGIApplication, service: Service, writer: AccessWriter, keyring: Keyring, log: RequestLog
    ) -> None:
        self._app = app
        self._access_check = service.access_check
        self._writer = writer
        self._keyring = keyring
        self._log = log
        self._clock = service.clock
        self._count = service.usage_counters.count_answer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start_response)
        begun = self._log.begin()
        if not self._keyring.site_headers(environ.get("HTTP_AUTHORIZATION", "")):
            return self._app(environ, start_response)
        body = self._body(environ)
        try:
            answer = self._answer(body) if body is not None else None
        except Exception:  # Flask's view meets an unexpected error again; it is logged and answered there.
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
        """Return the body of a plain request, and leave a copy for Flask; `None` for a request that is not plain."""
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
            asked: dict[str, Any] = read_question(parse_json(body))
        except (NotJson, Unsure):
            return None
        tier = asked["story"].get("tier")
        if tier is not None and tier not in self._access_check.catalogue.tiers:
            return None
        answer = self._access_check.check(question_of(asked), self._clock())
        decision = answer.decision
        encoded = orjson.dumps(self._writer.write(answer, explained=asked.get("explain", False)))
        self._count(answer)
        return encoded, decision.show, decision.reason.value
