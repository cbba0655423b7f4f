"""Known vulnerabilities of the store's releases, for `paywall doctor`.

`ADVISORIES` is the only place. It lists serious flaws that Valkey and Redis fixed from October 2025 to September 2026, but not
those in modules and in RDMA. Sources: `00-RELEASENOTES` of each line of Valkey and Redis, and the CVE records. Add a row for
each security release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoreAdvisory:
    """Flaws of a server, with the first release of each maintained line that lacks them.

    Lines newer than the newest in `fixed` never had them. An older line without a release in `fixed` keeps them.
    """

    server: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]
    since: str = "0"
    """The first release that has them."""


LUA_2025 = ("CVE-2025-49844", "CVE-2025-46817", "CVE-2025-46818", "CVE-2025-46819")
MAY_2026 = ("CVE-2026-23479", "CVE-2026-25243", "CVE-2026-23631")

ADVISORIES = (
    StoreAdvisory("valkey", LUA_2025, ("7.2.11", "8.0.6", "8.1.4")),
    StoreAdvisory("valkey", ("CVE-2025-67733", "CVE-2026-21863"), ("7.2.12", "8.0.7", "8.1.6", "9.0.3")),
    StoreAdvisory("valkey", MAY_2026, ("7.2.13", "8.0.8", "8.1.7", "9.0.4")),
    StoreAdvisory("valkey", ("CVE-2026-56684", "CVE-2026-63639"), ("7.2.14", "8.0.10", "8.1.9", "9.0.5", "9.1.1")),
    StoreAdvisory("valkey", ("GHSA-fq2f-crmw-q97r",), ("9.1.2",), since="9.1.0"),
    StoreAdvisory("redis", LUA_2025, ("6.2.20", "7.2.11", "7.4.6", "8.0.4", "8.2.2")),
    StoreAdvisory("redis", MAY_2026, ("7.2.14", "7.4.9", "8.2.6", "8.4.3", "8.6.3")),
    StoreAdvisory(
        "redis", ("CVE-2026-81934",), ("6.2.24", "7.2.16", "7.4.11", "8.2.9", "8.4.6", "8.6.6", "8.8.2", "8.10.1")
    ),
)


def version_tuple(text: str) -> Version:
    """Return `9.1.2` as (9, 1, 2); what follows the numbers is ignored."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def known_vulnerabilities(server: str, version: str) -> list[str]:
    """Return the names of the known flaws of a release of `valkey` or `redis`."""
    release = version_tuple(version)
    return [name for row in ADVISORIES if row.server == server and _concerns(row, release) for name in row.names]


def _concerns(row: StoreAdvisory, release: Version) -> bool:
    fixes = [version_tuple(text) for text in row.fixed]
    for fix in fixes:
        if fix[:2] == release[:2]:
            return version_tuple(row.since) <= release < fix
    return version_tuple(row.since) <= release < max(fixes)
