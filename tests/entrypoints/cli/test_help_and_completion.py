"""Test what `--help` shows, that its examples can be typed, completion in real shells, and the question before a loss."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.entrypoints.cli import main
from service.entrypoints.cli.completion import SHELLS
from service.entrypoints.cli.examples import EXAMPLES

NAMED_IN_THE_CONTRACT = {
    *("demo", "serve", "worker", "check-config", "doctor", "explain", "reconcile", "backup", "restore"),
    *(f"grants {word}" for word in ("add", "list", "revoke", "import")),
    *(f"readers {word}" for word in ("show", "export", "erase", "merge")),
    *(f"keys {word}" for word in ("add", "list", "end")),
    *("events replay", "audit verify"),
}


def children(command: click.Command) -> dict[str, click.Command]:
    """Return the commands of a group; a plain command has none."""
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: child for name, child in found.items() if child is not None}


def paths(command: click.Command, *names: str) -> list[tuple[str, ...]]:
    """Return every command, as the words to type."""
    return [names, *(path for name, child in children(command).items() for path in paths(child, *names, name))]


def find(path: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for name in path:
        command = children(command)[name]
    return command


def commands() -> list[tuple[str, ...]]:
    """Return the words of every command that is not a group."""
    return [path for path in paths(main) if not isinstance(find(path), click.Group)]


def test_every_command_of_the_contract_exists() -> None:
    there = {" ".join(path) for path in paths(main)}
    assert NAMED_IN_THE_CONTRACT - there == set()


@pytest.mark.parametrize("path", paths(main), ids=lambda path: " ".join(path) or "paywall")
def test_every_command_has_help_and_json(path: tuple[str, ...]) -> None:
    command = find(path)
    assert command.help, "says what it is for"
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{parameter.name} says nothing"
    if not children(command):
        assert "--json" in [option for parameter in command.params for option in parameter.opts]


def test_every_command_has_examples_and_no_other_has() -> None:
    assert {" ".join(path) for path in commands()} == set(EXAMPLES)


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_examples_are_valid_command_lines(path: tuple[str, ...]) -> None:
    for example in EXAMPLES[" ".join(path)]:
        own = 0
        for line in re.split(r" (?:\||>|&&|\|\|) ", example):
            typed = line.partition("paywall ")[2].removesuffix(')"')
            if not typed:
                continue  # What the output is piped into.
            words = tuple(shlex.split(typed))
            named = next((known for known in commands() if words[: len(known)] == known), None)
            assert named is not None, line
            own += named == path
            types = {type(parameter.type) for parameter in find(named).params}
            if types & {click.Path, click.File}:
                continue  # Its file is not there.
            # A command keeps the help options of its first context: without a parent, `-h` would be unknown from then on.
            parent = main.make_context("paywall", list(named), resilient_parsing=True)
            find(named).make_context(named[-1], list(words[len(named) :]), parent=parent)
        assert own, "shows the command itself"


def test_help_lists_whole_sentences_and_shows_examples() -> None:
    for path in paths(main):
        shown = CliRunner().invoke(main, [*path, "--help"], prog_name="paywall").stdout
        assert "..." not in shown.replace("[ARGS]...", "").replace("FILES...", ""), path
    shown = CliRunner().invoke(main, ["grants", "revoke", "--help"], prog_name="paywall").stdout
    assert "Example:\n    paywall grants revoke" in shown


COMPLETE = {
    "bash": (
        'eval "$({paywall} completion bash)"; COMP_WORDS=(paywall gr); COMP_CWORD=1; '
        '_paywall_completion {paywall}; echo "${{COMPREPLY[@]}}"'
    ),
    "zsh": "_PAYWALL_COMPLETE=zsh_complete COMP_WORDS='paywall gr' COMP_CWORD=1 {paywall}",
    "fish": "_PAYWALL_COMPLETE=fish_complete COMP_WORDS='paywall gr' COMP_CWORD=gr {paywall}",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_script_completes_commands(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(main, ["completion", shell], prog_name="paywall").stdout
    assert f"_PAYWALL_COMPLETE={shell}_complete" in script
    paywall = tmp_path / "paywall"
    paywall.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m service.entrypoints.cli "$@"\n')
    paywall.chmod(0o755)
    runner = shutil.which(shell) if shell == "bash" else "/bin/sh"
    assert runner is not None
    done = subprocess.run(
        [runner, "-c", COMPLETE[shell].format(paywall=paywall)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "grants" in done.stdout
    assert "readers" not in done.stdout


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_loss_is_confirmed_at_a_terminal_only(answer: str, status: int) -> None:
    """Run a confirmed command on a pseudo-terminal: the answer decides, and `--yes` or a pipe asks nothing."""
    program = (
        "import click\n"
        "from service.entrypoints.cli.session import confirms\n"
        "@click.command()\n@click.argument('name')\n@confirms('Revoke {name}?')\n"
        "def revoke(name): print('revoked', name)\n"
        "revoke()\n"
    )
    command = [sys.executable, "-c", program, "ann"]
    head, tail = pty.openpty()
    os.write(head, f"{answer}\n".encode())
    asked = subprocess.run(command, stdin=tail, capture_output=True, text=True, timeout=60, check=False)
    os.close(head)
    os.close(tail)
    assert (asked.returncode, asked.stdout) == (status, "revoked ann\n" if status == 0 else "")
    assert "Revoke ann? [y/N]" in asked.stderr
    for more in ([], ["--yes"]):
        unasked = subprocess.run(
            [*command, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
        )
        assert (unasked.stdout, unasked.stderr) == ("revoked ann\n", "")


def test_what_cannot_be_taken_back_is_confirmed() -> None:
    confirmed = {" ".join(path) for path in commands() if any("--yes" in one.opts for one in find(path).params)}
    assert confirmed >= {
        *("grants revoke", "grants import-undo", "passes revoke", "keys end", "seats take"),
        *("readers erase", "readers merge", "readers unlink", "audit prune", "restore"),
    }
