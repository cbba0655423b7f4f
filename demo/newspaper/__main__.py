"""`python -m demo.newspaper --service URL --site-key-env NAME --port N`: run the newspaper alone."""

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

HOST = "127.0.0.1"


class RequestHandler(WSGIRequestHandler):
    """A handler with a time-out, so that a browser's unused connection doesn't delay the shutdown."""

    timeout = 2

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - the base class requires this name
        """Log errors except the time-out of an unused connection."""
        if not any(isinstance(each, TimeoutError) for each in args):
            super().log_error(format, *args)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, and finish the requests in progress."""
    options = _options()
    site_key = os.environ.get(options.site_key_env, "")
    if not site_key:
        sys.exit(f"{options.site_key_env} is not set. Set it to the secret of one of the paywall's site keys")
    public_url = f"http://{HOST}:{options.port}"
    app = create_newspaper(
        service_url=options.service,
        site_key=site_key,
        secret=secrets.token_urlsafe(32),  # Sign-ins end with the process.
        public_url=public_url,
        clock=lambda: _now(options.clock_file),
        backstage=options.backstage,
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # its request lines would log query strings
    try:
        server = ThreadedWSGIServer(HOST, options.port, app, handler=RequestHandler)
    except OSError as error:
        sys.exit(f"cannot listen on {HOST}:{options.port}: {error.strerror}")
    server.daemon_threads = False  # so that closing waits for requests in progress
    # A signal handler can interrupt any code, so it must not take a lock. This queue takes none; starting a thread would.
    stop: SimpleQueue[None] = SimpleQueue()

    def end() -> None:
        stop.get()
        server.shutdown()

    threading.Thread(target=end, daemon=True).start()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stop.put(None))
    sys.stdout.write(f"The Daily Ledger: {public_url}\n")
    sys.stdout.flush()
    server.serve_forever()


def _now(clock_file: Path | None) -> datetime:
    """Return the time plus the offset that the demo's clock file holds, in seconds."""
    try:
        ahead = int(clock_file.read_text("ascii")) if clock_file else 0
    except (OSError, ValueError):
        ahead = 0
    return datetime.now(UTC) + timedelta(seconds=ahead)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.newspaper", description="The demo newspaper.")
    parser.add_argument("--service", required=True, metavar="URL", help="the paywall's URL")
    parser.add_argument(
        "--site-key-env", required=True, metavar="NAME", help="the environment variable with the site key"
    )
    parser.add_argument(
        "--port", type=int, default=8080, choices=range(1, 65536), metavar="N", help="the port (default: 8080)"
    )
    parser.add_argument(
        "--clock-file", type=Path, metavar="FILE", help="a file with the demo clock's offset in seconds"
    )
    parser.add_argument("--backstage", metavar="URL", help="the URL of the demo's backstage page, for a link")
    return parser.parse_args()


if __name__ == "__main__":
    main()
