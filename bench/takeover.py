"""Take-over of 10,000 members, and of 2,000 whose subscriptions Stripe holds: `python -m bench.takeover [members]`.

The first is Ghost's export without a Stripe key: the dry run, the take-over, a second one and the undo, each as a command of
its own with the embedded store. The second reads the look-alike by lists.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.running import environment
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.bootstrap import build
from service.settings.settings import load_settings
from stripe_lookalike import RunningLookalike, serve_lookalike

GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,"
    "tiers,gift_id"
)
PAYING, TRIAL, PAST_DUE, LATE, CANCELLING, CANCELLED, COMPLIMENTARY, GIFT, FREE, STALE = range(10)
"""Kinds of members, of which the export shows customer, tier, complimentary plan and gift."""
LEVELS = '[levels]\nGold = "supporter"\n[ends]\ngift = "2099-12-31"\n'
DAY = 86_400


def write_export(path: Path, members: int) -> None:
    """Write Ghost's export with as many members of each kind."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(GHOST.split(","))
        for number in range(members):
            kind = number % 10
            customer = f"cus_{number}" if kind in (PAYING, TRIAL, PAST_DUE, LATE, CANCELLING, CANCELLED, STALE) else ""
            tier = "" if kind in (CANCELLED, FREE) else "Gold"
            complimentary = "true" if kind in (COMPLIMENTARY, STALE) else "false"
            gift = f"gift{number}" if kind == GIFT else ""
            created = "2025-03-01T08:00:00.000Z"
            rows.writerow([f"r-{number}", "", "", "", "true", complimentary, customer, created, "", "", tier, gift])


def subscription(number: int, now: int) -> dict[str, Any] | None:
    """Return the subscription of a member as Stripe has it."""
    kind = number % 10
    statuses = {PAYING: "active", TRIAL: "trialing", PAST_DUE: "past_due", LATE: "past_due", CANCELLING: "active"}
    if kind not in (*statuses, CANCELLED):
        return None
    start = now - (20 if kind == LATE else 5) * DAY
    item = {
        "id": f"si_{number}",
        "object": "subscription_item",
        "price": {"id": "price_month", "object": "price", "product": "prod_supporter"},
        "quantity": 1,
        "current_period_start": start,
        "current_period_end": start + 30 * DAY,
    }
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "customer": f"cus_{number}",
        "status": statuses.get(kind, "canceled"),
        "created": start,
        "trial_end": start + 30 * DAY if kind == TRIAL else None,
        "cancel_at": start + 30 * DAY if kind == CANCELLING else None,
        "ended_at": now - DAY if kind == CANCELLED else None,
        "metadata": {},
        "items": {"object": "list", "data": [item], "has_more": False, "url": "/v1/subscription_items"},
    }


def run(env: dict[str, str], *arguments: str) -> tuple[float, dict[str, Any]]:
    """Run a command with --json. Return its seconds and what it printed."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "service.entrypoints.cli", "takeover", *arguments, "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return time.monotonic() - begun, json.loads(done.stdout)


def compare_access(env: dict[str, str], members: int) -> str:
    """Return how many payers are locked out, and how many who have not paid are let in; grace and free count as unpaid."""
    store = EmbeddedStore(Path(env["PAYWALL_DATA"]))
    url = store.start()
    service = build(load_settings({**env, "REDIS_URL": url}), url)
    assert service.store.link.wait(60)
    now, locked_out, let_in = time.time(), 0, 0
    for number in range(members):
        pays = number % 10 not in (LATE, CANCELLED, FREE)
        has_access = service.profiles.load_profile(f"r-{number}", None, now).access
        locked_out += pays and not has_access
        let_in += has_access and not pays
    service.close()
    store.stop()
    return f"{locked_out} payers locked out, {let_in} unpaid let in"


def measure(members: int, stripe: RunningLookalike | None) -> None:
    """Print the time and the result of each step."""
    with tempfile.TemporaryDirectory() as folder:
        path, levels = Path(folder) / "members.csv", Path(folder) / "takeover.toml"
        write_export(path, members)
        levels.write_text(LEVELS)
        env = environment(Path(folder) / "data")
        if stripe is not None:
            env |= {"STRIPE_API_KEY": "sk_test_bench_of_one_run", "STRIPE_API_BASE": stripe.url}
        undo, given = "", ("ghost", str(path), "--config", str(levels))
        for name, more in (
            ("dry run", ["--dry-run"]),
            ("take-over", ["--accept-losses"]),
            ("again", ["--accept-losses"]),
        ):
            seconds, found = run(env, *given, *more)
            reasons: dict[str, int] = {}
            for one in found["differences"]:
                reasons[one["reason"]] = reasons.get(one["reason"], 0) + 1
            counts = {key: found[key] for key in ("rows", "links", "grants", "same", "gains", "loses")}
            print(f"{name:>10}: {seconds:6.1f} s  {counts} {reasons}")
            undo = undo or found["id"] or ""
        if stripe is not None:
            print(f"{'':>10}  {compare_access(env, members)}")
        seconds, found = run(env, "undo", undo)
        print(f"{'undo':>10}: {seconds:6.1f} s  {found}")


def main() -> None:
    """Measure both."""
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{members} members without a Stripe key, {os.cpu_count()} cores")
    measure(members, None)
    with serve_lookalike() as stripe:
        now = int(time.time())
        for number in range(members // 5):
            if made := subscription(number, now):
                stripe.lookalike.world.add(
                    {"id": made["customer"], "object": "customer", "metadata": {}, "created": now}
                )
                stripe.lookalike.world.add(made)
        print(f"{members // 5} members with a Stripe key")
        measure(members // 5, stripe)


if __name__ == "__main__":
    main()
