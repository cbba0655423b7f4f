"""The `paywall` command. Each command calls the same use cases as the API and the staff pages.

Exit status: 0 done, 1 refused or found wrong, 2 usage. Every command has `--help` and `--json`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from service.domain.errors import DomainError, StoreUnavailable
from service.entrypoints.responses.errors import problem_of

_WHERE = {
    "serve": ("serve", "check-config", "demo"),
    "explain": ("explain",),
    "readers": ("readers",),
    "grants": ("grants",),
    "seats": ("seats",),
    "passes": ("passes",),
    "audit": ("audit",),
    "digest": ("digest",),
    "keys": ("keys",),
    "approvals": ("approvals",),
    "doctor": ("doctor",),
    "worker": ("worker", "reconcile"),
    "events": ("events",),
    "backup": ("backup", "restore"),
}
"""Module → the commands that its `add_to` adds."""


class _AsAsked(click.Group):
    """Imports the module of the command that is asked for, and no other: `serve` and `demo` start without a wait."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for names in _WHERE.values() for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for module, names in _WHERE.items():
            if cmd_name in names and cmd_name not in self.commands:
                importlib.import_module(f"{__name__}.{module}").add_to(self)
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Print a refusal, and what cannot be written where it was sent, as a message, and exit with status 1."""
        try:
            return super().main(*args, **extra)
        except DomainError as error:
            click.echo(_message(error), err=True)
            sys.exit(1)
        except OSError as error:
            what = error.filename or "The answer"
            click.echo(f"{what} could not be written: {error.strerror or type(error).__name__}", err=True)
            _drop_what_is_unwritten()
            sys.exit(1)


def _message(error: DomainError) -> str:
    problem = problem_of(error)
    if isinstance(error, StoreUnavailable):
        return f"{problem.detail} Cause: {error.cause}."
    return "\n".join(f"{field}: {message}" for field, message in problem.errors) or problem.detail


def _drop_what_is_unwritten() -> None:
    """Else the interpreter tries again at its end, and fails with a status of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


@click.group(cls=_AsAsked, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paywall", prog_name="paywall")
def main() -> None:
    """The paywall that newsrooms run themselves."""
