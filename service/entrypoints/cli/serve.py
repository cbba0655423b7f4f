"""`paywall serve`, `check-config`, `demo`: what runs, and what is looked at before it runs."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Output
from service.entrypoints.processes import supervisor
from service.entrypoints.processes.listening import CannotServe
from service.settings.policy_file import read_folder
from service.settings.policy_lints import lint

_CHECKOUT = Path(__file__).parents[3]


@click.command()
@click.option("--no-worker", is_flag=True, help="Only the web; a worker runs elsewhere.")
@session.json_option
def serve(no_worker: bool, as_json: bool) -> None:
    """Serve the paywall, with a worker beside it, until SIGTERM or Ctrl-C.

    It logs JSON lines, and plain text on a terminal. Settings come from the environment; see docs/reference/configuration.md.
    """
    chosen = session.settings()
    configure_logs()
    try:
        sys.exit(supervisor.run(chosen, with_worker=not no_worker))
    except (CannotServe, EmbeddedStoreError) as error:
        session.fail(str(error))


@click.command("check-config")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@session.prints
def check_config(folder: Path | None) -> Output:
    """Check paywall.toml in DIR (default: PAYWALL_CONFIG or config): every mistake, each with its place.

    A file without mistakes can have warnings: what is allowed, and probably not meant. They leave the exit status 0.
    """
    place = folder or session.config_folder()
    reading = read_folder(place)
    mistakes, warnings = reading.mistakes, lint(reading.catalogue) if reading.catalogue else []
    lines = list(map(str, mistakes)) or [f"{place / 'paywall.toml'}: no mistakes."]
    lines += [f"warning: {warning}" for warning in warnings]
    found = {"mistakes": list(map(asdict, mistakes)), "warnings": list(map(asdict, warnings))}
    return Output({"ok": not mistakes, **found}, "\n".join(lines), status=1 if mistakes else 0)


@click.command()
@session.json_option
def demo(as_json: bool) -> None:
    """Run a demo newspaper, the service and a Stripe look-alike on this machine, until Ctrl-C.

    The service listens on PAYWALL_PORT, the newspaper on 8080 and the look-alike on 12111. A port that is in use is replaced
    by a free one. PAYWALL_DATA names the demo's folder, which must be empty and is removed at the end.
    """
    if not (_CHECKOUT / "demo" / "__main__.py").is_file():
        session.fail("`paywall demo` needs a checkout of the source: clone the repository, and run `make demo` there.")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_CHECKOUT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    # The demo imports the service and not the reverse, so it replaces this process and keeps its ID and signals.
    os.execv(sys.executable, [sys.executable, "-m", "demo", *(["--json"] if as_json else [])])  # noqa: S606 - no shell is meant
