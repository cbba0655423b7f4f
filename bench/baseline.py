"""The baseline: bare Flask views, served by the paywall's web server."""

from __future__ import annotations

import os
import sys

import redis
from flask import Flask, Response

from service.entrypoints.processes.web_server import web_server


def load() -> Flask:
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
    web_server("127.0.0.1", int(sys.argv[1]), 1).serve(target_loader=load, wrap_loader=False)
