"""`python -m stripe_lookalike --port 12111 --webhook http://127.0.0.1:8000/v1/stripe/webhook --secret whsec_…`"""

from __future__ import annotations

import signal
from pathlib import Path
from queue import SimpleQueue

import click

from stripe_lookalike import Webhook, serve_lookalike


@click.command()
@click.option("--port", default=12111, show_default=True, help="Where to listen, on 127.0.0.1; 0 picks a free port.")
@click.option("--webhook", "urls", multiple=True, help="Where to send events; may be given more than once.")
@click.option(
    "--secret",
    default="whsec_lookalike",
    envvar="LOOKALIKE_SECRET",
    show_default=True,
    help="What webhooks are signed with.",
)
@click.option("--api-version", help="The version of the webhooks' shapes; the newest, if left out.")
@click.option("--no-catalog", is_flag=True, help="Start without the demo newspaper's products and prices.")
@click.option("--clock-file", type=click.Path(path_type=Path), help="Where to say how far the clock is ahead.")
@click.option("--site", help="The address that the backstage page leads back to.")
def main(
    port: int,
    urls: tuple[str, ...],
    secret: str,
    api_version: str | None,
    no_catalog: bool,
    clock_file: Path | None,
    site: str | None,
) -> None:
    """A look-alike of Stripe for trying and testing. No money moves; nothing is kept when it ends."""
    # A handler may run in the midst of anything and so may take no lock: this queue takes none.
    called: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: called.put(None))
    webhooks = [Webhook(url, secret, api_version) for url in urls]
    try:
        running = serve_lookalike(
            port, seed_catalog=not no_catalog, webhooks=webhooks, clock_file=clock_file, site=site
        )
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    with running:
        click.echo(f"Stripe look-alike at {running.url}")
        called.get()


if __name__ == "__main__":
    main()
