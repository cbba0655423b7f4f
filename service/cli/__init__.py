"""The `paywall` command. Each command is a few lines over the same functions as the web.

Exit status: 0 done, 1 refused or found wrong, 2 usage. Every command has `--help` and `--json`.
"""

from __future__ import annotations

import click

from service.cli import asking, auditing, checking, governing, granting, passes, running, working


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paywall", prog_name="paywall")
def main() -> None:
    """The paywall that newsrooms run themselves."""


running.add_to(main)
asking.add_to(main)
granting.add_to(main)
passes.add_to(main)
auditing.add_to(main)
governing.add_to(main)
checking.add_to(main)
working.add_to(main)
