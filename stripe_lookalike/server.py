"""Serve a look-alike on the loopback address: keep-alive connections, with a thread for each."""

from __future__ import annotations

import io
import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from flask import Flask
from werkzeug.wrappers import Response

from stripe_lookalike.app import create_lookalike
from stripe_lookalike.lookalike import Lookalike

_HOST = "127.0.0.1"


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, as the SDK expects. Werkzeug's server closes each connection after one response."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: headers and body leave in one packet
    timeout = 60
    server: _Server

    def _answer(self) -> None:
        response = Response.from_app(self.server.app, self._environ())
        body = response.get_data()
        self.send_response_only(response.status_code)
        response.headers.setdefault("Date", self.date_time_string())
        for name, value in response.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _environ(self) -> dict[str, Any]:
        """Return the WSGI environment. Read the whole body, so that the connection can be reused."""
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": _HOST,
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": self.request_version,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            environ.setdefault("HTTP_" + name.upper().replace("-", "_"), value)
        return environ

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server requires these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class requires this name
        """Log nothing: the journal has the requests."""


class _Server(ThreadingHTTPServer):
    """A server that keeps its open connections, so that it can close them when it stops."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, app: Flask) -> None:
        self.app = app
        self.open: set[socket.socket] = set()
        super().__init__((_HOST, port), _Handler)

    def server_bind(self) -> None:
        """Bind without the base class's look-up of the host name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log all errors except a client's disconnect or timeout."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            logging.getLogger(__name__).exception("a request to the Stripe look-alike failed")


class RunningLookalike:
    """A running look-alike server. `url` is its base URL, and `lookalike` its state."""

    def __init__(self, port: int, app: Flask) -> None:
        self.lookalike: Lookalike = app.extensions["lookalike"]
        self._server = _Server(port, app)
        self.port = self._server.server_port
        self.url = f"http://{_HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.lookalike.delivery.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop the server, its connections and its deliveries."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.lookalike.faults.set(None)  # releases requests that hang
        for connection in list(self._server.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed meanwhile
        self.lookalike.delivery.stop()

    def __enter__(self) -> RunningLookalike:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def serve_lookalike(port: int = 0, **options: Any) -> RunningLookalike:
    """Serve a look-alike in threads of this process. Port 0 picks a free one; `options` go to `create_lookalike`.

    Example: `with serve_lookalike() as stripe: client = StripeClient("sk_test_x", base_addresses={"api": stripe.url})`
    """
    return RunningLookalike(port, create_lookalike(**options))
