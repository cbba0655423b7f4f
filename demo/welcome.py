"""What a newcomer is told: where the newspaper is, and a command that is ready to be typed elsewhere."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.layout import Layout

READER = "r-1042"
NAME = "Maya"


def welcome(layout: Layout, command: str) -> str:
    """The text; the newspaper's address and the command each have a line of their own."""
    return f"""
The Daily Ledger is open. Read it at

    {layout.newspaper}

1. Open a story: the facts are open. Read on until the free stories are used up: the notebook is locked, the box is there.
2. Sign in as {NAME}, and give her VIP access from another terminal, in this folder:

{command}

3. Reload: she reads everything, without ads. Or sign in as somebody else, press “Support us”, and pay on the look-alike of
   Stripe; no money moves. Backstage, a month goes by, a payment fails, and money goes back.

The newsroom:  {layout.service}/admin/ shows a month of invented life; sign in with the key below
The key:       {layout.admin_key}
Backstage:     {layout.backstage}
The service:   {layout.service}/docs
Its log:       {layout.log}

Ctrl-C ends it all.
"""


def told(layout: Layout, command: str) -> dict[str, str]:
    """The same for programs."""
    return {
        "newspaper": layout.newspaper,
        "backstage": layout.backstage,
        "service": layout.service,
        "stripe": layout.stripe,
        "admin": f"{layout.service}/admin/",
        "admin_key": layout.admin_key,
        "site_key": layout.site_key,
        "grant": command,
        "log": str(layout.log),
    }


def grant_command(env: Mapping[str, str]) -> str:
    """A line that works as it stands in another shell in the same folder, whatever that one has set."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    more = [
        "grants",
        "add",
        "--reader",
        READER,
        "--plan",
        "vip",
        "--reason",
        "A look behind the wall",
        "--until",
        until,
    ]
    return shlex.join([*_environment(env), *_paywall(), *more])


def _environment(env: Mapping[str, str]) -> list[str]:
    """What the command has to be told, and what it must not hear, where that differs from nothing at all."""
    unset = [name for name in ("REDIS_URL", "PAYWALL_PREFIX", "PAYWALL_SECRETS") if env.get(name)]
    given = {name: os.path.abspath(env[name]) for name in ("PAYWALL_DATA", "PAYWALL_CONFIG") if env.get(name)}
    words = [word for name in unset for word in ("-u", name)] + [f"{name}={value}" for name, value in given.items()]
    return ["env", *words] if words else []


def _paywall() -> list[str]:
    script = Path(sys.executable).with_name("paywall")
    if not script.exists():
        return [sys.executable, "-m", "service.entrypoints.cli"]
    here = Path.cwd()
    return [os.path.relpath(script, here) if script.is_relative_to(here) else str(script)]
