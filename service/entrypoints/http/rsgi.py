"""The application that granian calls by RSGI, its own interface: access checks in the event loop, all else by Flask in threads.

A thread is taken for work, never for a body that has yet to arrive. A view of Flask runs without the body first. What refuses
the request without reading it (a missing key or signature, a wrong path, a length that is too large) answers at once. A view
that begins to read is ended there; the loop reads the body, with a deadline, and then the view runs again from its beginning.
So whatever a view does before it reads must change nothing.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from io import BytesIO, RawIOBase
from typing import TYPE_CHECKING, Any

from flask import request

from service.adapters.observability.logs import log, where
from service.adapters.redis.client.access import LoopAccess, StoreAccess
from service.adapters.redis.client.link import Link
from service.entrypoints.http import access_route, errors
from service.entrypoints.http.request_log import NO_ROUTE
from service.entrypoints.http.rsgi_types import Exchange, Scope
from service.entrypoints.http.wsgi import Web
from service.entrypoints.responses.errors import Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

THREADS = 16
"""Threads for requests that wait for the store or for Stripe at the same time."""

_PROBES = frozenset({"/healthz", "/readyz"})
"""What has threads of its own, so that nothing slow has the process restarted."""

_SIGN_INS = frozenset({"/admin/sign-in/begin", "/admin/sign-in/return"})
"""What waits for the identity provider, as any stranger can cause: in threads of its own, so that it holds up nothing else."""

USUAL_SWITCH, SHORT_SWITCH = sys.getswitchinterval(), 0.0002
"""Seconds that a thread waits for the interpreter, usually and while threads answer requests beside checks."""

LONGEST_PATH = 1_200
"""Characters of a path; that of a decision has up to 1,014. Werkzeug's time to find its route grows with their square."""

BODY_WITHIN = 30.0
"""Seconds in which a body must have arrived, without what a large one may take longer."""
SLOWEST_UPLOAD = 64 * 1024
"""Bytes a second that a large body needs at least."""

Body = RawIOBase | BytesIO
Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""

_BASE: WSGIEnvironment = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class BodyNeeded(BaseException):
    """A view reads a body that the loop has not read yet. No handler of errors in a view catches it.

    `size`: how many bytes of it the view takes.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


class _Absent(RawIOBase):
    """The body before it is read. Werkzeug reads a form in pieces; what the form can have is its request's limit."""

    def read(self, size: int = -1, /) -> bytes:
        raise BodyNeeded(request.max_content_length or size)

    def readinto(self, buffer: Any, /) -> int:
        raise BodyNeeded(request.max_content_length or len(buffer))


class _Late(RawIOBase):
    """A body that did not arrive in time."""

    def read(self, size: int = -1, /) -> bytes:
        raise Problem(408, "The body did not arrive in time; send it again.")

    def readinto(self, buffer: Any, /) -> int:
        raise Problem(408, "The body did not arrive in time; send it again.")


class RsgiApp:
    """Answers the requests of one process in one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        web: Web,
        threads: type[ThreadPoolExecutor] = ThreadPoolExecutor,
    ) -> None:
        self._loop = loop
        self._checks = threads(THREADS, "check")  # of their own, so that nothing slow holds up a check
        self._threads = threads(THREADS, "request")
        self._store: StoreAccess = LoopAccess(link, loop, self._checks)
        self._access_route = web.access_route
        self._requests_log = web.requests_log
        self._responders = {
            access_route.PATH: web.access_route.respond,
            access_route.BATCH_PATH: web.access_route.respond_batch,
        }
        self._threads_of = {
            **dict.fromkeys(self._responders, self._checks),
            **dict.fromkeys(_PROBES, threads(2, "probe")),
            **dict.fromkeys(_SIGN_INS, threads(THREADS, "sign-in")),
        }
        self._flask = FlaskThreads(web.flask, loop)

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        path, body = scope.path, None
        respond = self._responders.get(path)
        if respond is not None and scope.method == "POST":
            headers = scope.headers
            if self._access_route.takes(headers):
                content = await self._read(exchange, BODY_WITHIN)
                answer = None if content is None else await respond(self._store, content, headers)
                if answer is not None:
                    exchange.response_bytes(200, answer[1], answer[0])
                    return
                body = _Late() if content is None else BytesIO(content)
        if len(path) > LONGEST_PATH:
            self._refuse_path(scope, exchange)
            return
        threads = self._threads_of.get(path, self._threads)
        status, answered, content = await self._flask.respond(scope, exchange, threads, body)
        exchange.response_bytes(status, answered, content)

    def _refuse_path(self, scope: Scope, exchange: Exchange) -> None:
        begun = self._requests_log.begin()
        request_id = self._requests_log.end(begun, NO_ROUTE, scope.method, 414, scope.headers.get("x-request-id"))
        detail = f"The path has {len(scope.path):,} characters. No route has more than {LONGEST_PATH:,}."
        headers = {"Connection": "close", "Cache-Control": "private, no-store", "X-Request-Id": request_id}
        refusal = errors.response(Problem(414, detail, headers=headers))
        exchange.response_bytes(414, refusal.headers.to_wsgi_list(), refusal.get_data())

    async def _read(self, exchange: Exchange, seconds: float) -> bytes | None:
        """Return a whole body; `None` if it did not arrive in time. It is a third of the cost of `asyncio.timeout`."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        deadline = self._loop.call_later(seconds, task.cancel)
        try:
            return await exchange()
        except asyncio.CancelledError:
            return None
        except RuntimeError:  # The client has gone.
            return b""
        finally:
            deadline.cancel()

    def close(self) -> None:
        """End the threads, which have answered all requests."""
        for threads in {*self._threads_of.values(), self._threads}:
            threads.shutdown(wait=False, cancel_futures=True)


class FlaskThreads:
    """Answers requests by a WSGI application."""

    def __init__(self, app: WSGIApplication, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._running = 0
        """Requests that threads work on now."""

    async def respond(self, scope: Scope, exchange: Exchange, threads: Executor, body: Body | None = None) -> Answer:
        """Return the answer to a request, whose body can have been read already."""
        environ = environ_of(scope)
        found = await self._run(threads, environ, body or _Absent())
        if isinstance(found, BodyNeeded):
            body = await read_body(scope, exchange, found.size)
            found = await self._run(threads, environ, body)
        if isinstance(found, BodyNeeded):
            raise RuntimeError("a body was missing twice")
        return found

    async def _run(self, threads: Executor, environ: WSGIEnvironment, body: Body) -> Answer | BodyNeeded:
        """Call the application in a thread, which meanwhile gives way sooner to the loop and its checks."""
        self._running += 1
        sys.setswitchinterval(SHORT_SWITCH)
        try:
            return await self._loop.run_in_executor(threads, self._call, environ, body)
        finally:
            self._running -= 1
            if not self._running:
                sys.setswitchinterval(USUAL_SWITCH)

    def _call(self, environ: WSGIEnvironment, body: Body) -> Answer | BodyNeeded:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [int(status.split(" ", 1)[0]), headers]

        try:
            parts: Any = self._app({**environ, "wsgi.input": body}, start_response)
            try:
                content = b"".join(parts)
            finally:
                if hasattr(parts, "close"):
                    parts.close()
        except BodyNeeded as needed:
            return needed
        except Exception as error:  # Flask answers every failure of a view; this is one of Flask itself.
            log().error("crash", error=type(error).__name__, where=where(error))
            return 500, [], b""
        return started[0], started[1], content


async def read_body(scope: Scope, exchange: Exchange, size: int) -> Body:
    """Return a request's body: all of a declared length, which the caller accepts, else up to `size` bytes."""
    declared = scope.headers.get("content-length")
    most = int(declared) if declared is not None else size
    try:
        async with asyncio.timeout(BODY_WITHIN + most / SLOWEST_UPLOAD):
            if declared is not None:
                return BytesIO(await exchange())
            chunks, arrived = [], 0
            async for chunk in exchange:
                chunks.append(chunk)
                arrived += len(chunk)
                if arrived >= most:
                    break
            return BytesIO(b"".join(chunks))
    except TimeoutError:
        return _Late()
    except RuntimeError:  # The client has gone. A view refuses a body that is shorter than its declared length.
        return BytesIO()


def environ_of(scope: Scope) -> WSGIEnvironment:
    """Return the WSGI environment of a request, without the body."""
    headers = scope.headers
    environ: WSGIEnvironment = {
        **_BASE,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": _path(scope.path),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": _split(scope.client)[0],
        "wsgi.url_scheme": scope.scheme,
    }
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _split(scope.server)
    for name in headers.keys():  # noqa: SIM118 - iterating over the headers themselves is the same call
        if "_" in name:  # It would pass for the header with `-`, which a proxy in front checks or replaces.
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = (";" if name == "cookie" else ",").join(headers.get_all(name))
    environ.setdefault("HTTP_HOST", scope.authority or "")
    return environ


def _path(path: str) -> str:
    """Return a path as WSGI has it: each byte a character.

    The server replaces bytes that are not UTF-8 by U+FFFD. It becomes one again, so that such a path is refused.
    """
    return path.encode().replace("\ufffd".encode(), b"\xff").decode("latin-1")


def _split(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port
