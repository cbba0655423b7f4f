"""A provider's snapshots beside access checks: `python -m bench.snapshots [rows]`; the default is 50000.

The service runs with its worker and its embedded store. The first snapshot is new as a whole. The second is the same. In the
third, 2 % of the subscriptions ended, 2 % have another end, and 2 % are new. Meanwhile 200 checks a second are asked on one
connection. Memory is the peak of the largest process of the service, and of the store.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench.imports import Checks, peaks
from bench.running import CONFIG, environment, send, serving, wait_until

PATH = "/v1/providers/print/snapshot"
CSV = {"Content-Type": "text/csv"}


def snapshot(rows: int, *, ended: int = 0, changed: int = 0, new: int = 0) -> bytes:
    """Return a snapshot of so many rows, from which the first ended, the next have another end, and new ones follow."""
    ends = (("2099-01-01", "2098-06-30")[number < ended + changed] for number in range(ended, rows + new))
    lines = (f"{number},r-{number},supporter,{end}\n" for number, end in enumerate(ends, ended))
    return ("id,reader,plan,until\n" + "".join(lines)).encode()


def take(port: int, name: str, body: bytes) -> None:
    """Time a dry run and the snapshot, and print the figures."""
    began = time.monotonic()
    send(port, "PUT", f"{PATH}?dry_run=true", body, **CSV)
    dry = time.monotonic() - began
    with Checks(port) as beside:
        began = time.monotonic()
        _, found = send(port, "PUT", PATH, body, **CSV)
        committed = time.monotonic() - began
        wait_until(lambda: send(port, "GET", f"{PATH}/{found['id']}")[1]["state"] == "done", 900)
        in_force = time.monotonic() - began
    counts = ", ".join(f"{found[key]} {key}" for key in ("new", "changed", "ended", "unchanged"))
    print(f"{name}: dry run {dry:.1f} s, committed after {committed:.1f} s, in force after {in_force:.1f} s ({counts})")
    print(f"  checks {beside.shares()} (median / p99)")


def main(rows: str = "50000") -> None:
    """Print the figures of three snapshots."""
    count = int(rows)
    with tempfile.TemporaryDirectory() as folder:
        policy = (CONFIG / "paywall.toml").read_text()
        Path(folder, "paywall.toml").write_text(policy + '[providers.print]\nname = "Print subscription"\n')
        with serving(environment(Path(folder), PAYWALL_CONFIG=folder)) as (port, process):
            before = peaks(process.pid)
            with Checks(port) as quiet:
                time.sleep(3)
            print(f"{count} rows; without a snapshot, checks take {quiet.shares()}")
            take(port, "first", snapshot(count))
            take(port, "the same", snapshot(count))
            part = count // 50
            take(port, "2 % of each", snapshot(count, ended=part, changed=part, new=part))
            after = peaks(process.pid)
            print(f"memory +{after[0] - before[0]} MiB in the service, +{after[1] - before[1]} MiB in the store")


if __name__ == "__main__":
    main(*sys.argv[1:])
