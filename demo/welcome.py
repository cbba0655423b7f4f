"""What the demo prints when it is ready: URLs, a key, and a command to run in another terminal."""

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


def welcome_text(layout: Layout, command: str, sign_in: str | None) -> str:
    """Return the text for people. The newspaper's URL and the command each have a line of their own."""
    return f"""
The demo newspaper, The Daily Ledger, is running. Open it in your browser:

    {layout.newspaper}

1. Read some stories. After two free stories, the paywall hides the reporter's notebook; the facts stay open.
2. Sign in as {NAME} ({READER}). Then grant VIP access to {NAME}: run this command in another terminal, in this folder.

{command}

3. Reload the story. {NAME} now reads everything, without ads. You can also sign in as another reader, press “Support us” and
   pay on the Stripe look-alike; no money moves. On the backstage page, move the clock by a month, fail a payment or refund it.

Staff page:    {layout.service}/admin/ (with two months of sample data)
Sign-in link:  {f"{sign_in} (works once, within ten minutes)" if sign_in else "none; use the key"}
Staff key:     {layout.admin_key}
Backstage:     {layout.backstage}
API docs:      {layout.service}/docs
Service log:   {layout.log}

Press Ctrl-C to stop the demo.
"""


def as_json_fields(layout: Layout, command: str, sign_in: str | None) -> dict[str, str | None]:
    """Return the same facts for programs (`paywall demo --json`)."""
    return {
        "newspaper": layout.newspaper,
        "backstage": layout.backstage,
        "service": layout.service,
        "stripe": layout.stripe,
        "admin": f"{layout.service}/admin/",
        "admin_key": layout.admin_key,
        "sign_in": sign_in,
        "site_key": layout.site_key,
        "grant": command,
        "log": str(layout.log),
    }


def grant_command(env: Mapping[str, str]) -> str:
    """Return a command line that works in another shell in the same folder, where none of the demo's variables is set."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    arguments = f"grants add --reader {READER} --plan vip --reason".split()
    return shlex.join([*_environment(env), *_paywall(), *arguments, "Demo: try VIP access", "--until", until])


def _environment(env: Mapping[str, str]) -> list[str]:
    """Return `env …` with the variables that the command needs and must not inherit; nothing without such variables."""
    unset = [name for name in ("REDIS_URL", "PAYWALL_PREFIX", "PAYWALL_SECRETS") if env.get(name)]
    paths = {name: os.path.abspath(env[name]) for name in ("PAYWALL_DATA", "PAYWALL_CONFIG") if env.get(name)}
    words = [word for name in unset for word in ("-u", name)] + [f"{name}={path}" for name, path in paths.items()]
    return ["env", *words] if words else []


def _paywall() -> list[str]:
    script = Path(sys.executable).with_name("paywall")
    if not script.exists():
        return [sys.executable, "-m", "service.entrypoints.cli"]
    here = Path.cwd()
    return [os.path.relpath(script, here) if script.is_relative_to(here) else str(script)]
