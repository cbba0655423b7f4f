"""`python -m demo.newspaper --service URL --site-key-env NAME --port N`: the newspaper on its own."""

import argparse
import logging
import os
import secrets
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .app import create_newspaper


class PatientHandler(WSGIRequestHandler):
    """A browser opens connections ahead of need: one that asks nothing must not hold up the end."""

    timeout = 2

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Of a connection that was never used there is nothing to tell."""
        if not any(isinstance(each, TimeoutError) for each in args):
            super().log_error(format, *args)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked before is answered."""
    options = _options()
    site_key = os.environ.get(options.site_key_env, "")
    if not site_key:
        sys.exit(f"{options.site_key_env} is not set: it should hold the secret of one of the paywall's site keys")
    public_url = options.public_url or f"http://{options.host}:{options.port}"
    secret = os.environ.get("NEWSPAPER_SECRET") or secrets.token_urlsafe(
        32
    )  # without one, sign-ins end with the process
    app = create_newspaper(
        service_url=options.service,
        site_key=site_key,
        secret=secret,
        public_url=public_url,
        clock=lambda: _now(options.clock_file),
        backstage=options.backstage,
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # its request lines would show what is in a query
    try:
        server = ThreadedWSGIServer(options.host, options.port, app, handler=PatientHandler)
    except OSError as error:
        sys.exit(f"cannot listen on {options.host}:{options.port}: {error.strerror}")
    server.daemon_threads = False  # so that closing waits for the answers under way
    # A handler may run in the midst of anything and so may take no lock: this queue takes none, a new thread would.
    called: SimpleQueue[None] = SimpleQueue()

    def end() -> None:
        called.get()
        server.shutdown()

    threading.Thread(target=end, daemon=True).start()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: called.put(None))
    sys.stdout.write(f"The Daily Ledger: {public_url}\n")
    sys.stdout.flush()
    server.serve_forever()


def _now(clock_file: Path | None) -> datetime:
    """The time, ahead by as many seconds as the file of a demo's time machine says."""
    try:
        ahead = int(clock_file.read_text("ascii")) if clock_file else 0
    except (OSError, ValueError):
        ahead = 0
    return datetime.now(UTC) + timedelta(seconds=ahead)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.newspaper", description="The demo newspaper.")
    parser.add_argument("--service", required=True, metavar="URL", help="where the paywall answers")
    parser.add_argument("--site-key-env", required=True, metavar="NAME", help="the variable that holds the site key")
    parser.add_argument(
        "--port", type=int, default=8080, choices=range(1, 65536), metavar="N", help="where to listen (default: 8080)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="on which address (default: 127.0.0.1)")
    parser.add_argument("--public-url", metavar="URL", help="what readers type (default: http://HOST:PORT)")
    parser.add_argument(
        "--clock-file", type=Path, metavar="FILE", help="says by how many seconds a demo's clock is ahead"
    )
    parser.add_argument("--backstage", metavar="URL", help="a page that pulls a demo's strings, to be linked")
    return parser.parse_args()


if __name__ == "__main__":
    main()
