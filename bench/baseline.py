"""The baseline: a bare Flask view with one redis-py GET, under granian with one thread, as its author would run it."""

from __future__ import annotations

import os
import sys

import redis
from flask import Flask, Response
from granian.constants import HTTPModes, Interfaces
from granian.server.mp import MPServer


def load(*_: object) -> Flask:
    """Return an app with two views: one returns a constant, and one does a redis-py GET first."""
    app = Flask("baseline")
    store = redis.Redis(unix_socket_path=os.environ["BENCH_SOCKET"])
    store.set("bench", b'{"show":"full"}')

    @app.post("/constant")
    def constant() -> Response:
        return Response(b'{"show":"full"}', content_type="application/json")

    @app.post("/get")
    def get() -> Response:
        return Response(store.get("bench"), content_type="application/json")

    return app


if __name__ == "__main__":
    server = MPServer(
        "bench.baseline:load",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=1,
        blocking_threads=1,
        log_enabled=False,
        websockets=False,
    )
    server.serve(target_loader=load, wrap_loader=False)
