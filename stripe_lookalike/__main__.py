"""`python -m stripe_lookalike --port 12111 --webhook http://127.0.0.1:8000/v1/stripe/webhook --secret whsec_…`"""

from __future__ import annotations

import signal
from pathlib import Path
from queue import SimpleQueue

import click

from stripe_lookalike import Webhook, serve_lookalike


@click.command()
@click.option("--port", default=12111, show_default=True, help="The port on 127.0.0.1; 0 picks a free one.")
@click.option("--webhook", "urls", multiple=True, help="A URL that gets all events. Repeatable.")
@click.option(
    "--secret",
    default="whsec_of_the_lookalike",
    envvar="LOOKALIKE_SECRET",
    show_default=True,
    help="The signing secret of the webhooks.",
)
@click.option("--clock-file", type=click.Path(path_type=Path), help="A file to keep the clock's offset in, in seconds.")
@click.option("--site", help="The URL that the backstage page links back to.")
def main(
    port: int,
    urls: tuple[str, ...],
    secret: str,
    clock_file: Path | None,
    site: str | None,
) -> None:
    """Run a Stripe look-alike for demos and tests. No money moves, and it keeps its state in memory only."""
    # A signal handler can interrupt any code, so it must not take a lock. This queue takes none.
    called: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: called.put(None))
    webhooks = [Webhook(url, secret) for url in urls]
    try:
        running = serve_lookalike(port, webhooks=webhooks, clock_file=clock_file, site=site)
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    with running:
        click.echo(f"Stripe look-alike at {running.url}")
        called.get()


if __name__ == "__main__":
    main()
