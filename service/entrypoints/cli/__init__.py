"""The `paywall` command. Each command calls the same use cases as the API and the staff pages.

Exit status: 0 done, 1 refused or found wrong, 2 usage. Every command has `--help` and `--json`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, cast

import click

from service.domain.errors import DomainError, StoreUnavailable
from service.entrypoints.cli.examples import EXAMPLES
from service.entrypoints.responses.errors import problem_of

GROUPS = (
    "approvals",
    "audit",
    "events",
    "grants",
    "keys",
    "links",
    "passes",
    "providers",
    "readers",
    "seats",
    "stories",
    "takeover",
)
COMMANDS = {
    **{name: name for name in (*GROUPS, "backup", "explain", "serve", "worker")},
    "check-config": "serve",
    "completion": "completion",
    "demo": "serve",
    "digest": "health",
    "doctor": "health",
    "reconcile": "worker",
    "reindex": "readers",
    "restore": "backup",
    "sign-in-link": "keys",
    "test-policy": "policy",
}
"""Command → its module."""


class LazyGroup(click.Group):
    """Imports the module of the command that runs, and no other: `serve` and `demo` start without a wait."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command with its examples, or `None`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name]}")
        command = cast(click.Command, getattr(module, cmd_name.replace("-", "_")))
        _describe(command, cmd_name)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Print a refusal or a failed write as a message, and exit with status 1."""
        try:
            return super().main(*args, **extra)
        except DomainError as error:
            click.echo(_message(error), err=True)
            sys.exit(1)
        except OSError as error:
            what = error.filename or "The answer"
            click.echo(f"{what} could not be written: {error.strerror or type(error).__name__}", err=True)
            _discard_unwritten_output()
            sys.exit(1)


def _describe(command: click.Command, words: str) -> None:
    """Show whole sentences in lists of commands, which click would cut, and the examples of each command in its help."""
    command.short_help = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    if examples := EXAMPLES.get(words):
        command.epilog = "\b\n" + "\n".join(
            [f"Example{'s' * (len(examples) > 1)}:", *(f"  {line}" for line in examples)]
        )
    for name, child in getattr(command, "commands", {}).items():
        _describe(child, f"{words} {name}")


def _message(error: DomainError) -> str:
    problem = problem_of(error)
    if isinstance(error, StoreUnavailable):
        return f"{problem.detail} Cause: {error}."
    return "\n".join(f"{field}: {message}" for field, message in problem.errors) or problem.detail


def _discard_unwritten_output() -> None:
    """Keep the interpreter from writing it again at its end, which would fail with another status."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paywall", prog_name="paywall")
def main() -> None:
    """The paywall that newsrooms run themselves."""
