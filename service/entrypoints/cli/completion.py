"""`paywall completion`: the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from service.entrypoints.cli import session
from service.entrypoints.cli.session import Output

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice([*SHELLS]))
@session.prints
def completion(shell: str) -> Output:
    """Print the script that completes paywall's commands and options in your shell.

    Load it where your shell starts: in ~/.bashrc, in a folder of zsh's fpath, or in fish's folder of completions.
    """
    program = click.get_current_context().find_root().command
    script = SHELLS[shell](program, {}, "paywall", "_PAYWALL_COMPLETE").source()
    return Output({"shell": shell, "script": script}, script)
