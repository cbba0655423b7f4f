"""What the doctor reports of the store: its release, what it could lose, its memory, and the index of readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from service.adapters.redis.client.memory import FILLING_FROM, MemoryUse
from service.use_cases.lists.index_updates import IndexComparison
from service.use_cases.operations.findings import Finding
from service.use_cases.operations.store_advisories import known_vulnerabilities, version_tuple

OLDEST_STORE = (7, 2)
"""The oldest version of Redis and of Valkey that the service supports."""


def version_findings(server: str, version: str) -> Iterator[Finding]:
    """Yield what is wrong with the store's release."""
    if version_tuple(version)[:2] < OLDEST_STORE:
        yield Finding("wrong", "store", f"{server} {version} is older than 7.2, the oldest supported version")
    if known := known_vulnerabilities(server, version):
        message = f"{server} {version} has known vulnerabilities ({', '.join(known)})"
        fix = "Upgrade it, unless your distribution has backported the fixes"
        yield Finding("note", "store", f"{message}. {fix}")


def durability_findings(info: Mapping[str, object]) -> Iterator[Finding]:
    """Yield what the store could lose, by its own settings (`Link.info`)."""
    if "appendonly" not in info:
        message = "the store does not allow reading its settings; see docs/how-to/operations.md"
        yield Finding("note", "durability", message)
        return
    if info.get("appendonly") != "yes":
        message = "appendonly is off: a restart of the store loses grants, audit entries and counted stories"
        yield Finding("wrong", "durability", f"{message}. Set appendonly yes")
    elif info.get("appendfsync") != "always":
        message = f"appendfsync is {info.get('appendfsync')}: a crash of the machine loses up to the last second"
        yield Finding("note", "durability", f"{message} of grants and audit entries. Set appendfsync always")
    else:
        yield Finding(
            "good", "durability", "appendonly with appendfsync always: the store replies once data is on disk"
        )
    if info.get("maxmemory-policy") not in (None, "noeviction"):
        message = f"maxmemory-policy is {info['maxmemory-policy']}: a full store drops readers"
        yield Finding("wrong", "durability", f"{message}. Set noeviction")
    if int(str(info.get("replicas") or 0)) and str(info.get("min-replicas-to-write", "0")) == "0":
        message = "min-replicas-to-write is 0: a failover can lose the writes acknowledged just before it"
        yield Finding("note", "durability", f"{message}. Set it to 1 or more")


def index_finding(found: IndexComparison | None) -> Finding:
    """Return whether the index of readers agrees with a sample of their records; `None`: it is not built."""
    if found is None:
        return Finding("note", "index", "the lists of readers and grants are not built yet. Start serve or the worker")
    if found.differing:
        message = f"{len(found.differing)} of {found.compared} readers differ from the lists of readers and grants"
        return Finding("wrong", "index", f"{message}. Run paywall reindex")
    if found.unnamed:
        message = f"{found.unnamed} readers are in no list: an earlier release imported their grants without their IDs"
        return Finding("note", "index", f"{message}. Import their file again, then run paywall reindex")
    message = f"the lists of readers and grants agree with the records of {found.compared} readers"
    return Finding("good", "index", message)


def memory_finding(memory: MemoryUse, setting: str) -> Finding:
    """Return how full the store is; `setting` is what limits its memory."""
    if not memory.limit:
        message = "the store has no maxmemory, or does not report it: made-up visitors can fill the machine's memory"
        return Finding("note", "memory", f"{message}. Set maxmemory")
    used = f"{memory.share:.0%} of {memory.limit / 2**20:,.0f} MB is in use"
    if memory.is_filling:
        return Finding("wrong", "memory", f"{used}, so new visitors are not counted. Raise {setting}")
    return Finding("good", "memory", f"{used}; new visitors are counted below {FILLING_FROM:.0%}")
