"""Errors of the store's client, and which error replies mean that the store is unavailable.

StoreUnavailable        (`service.domain.errors`) the store cannot be reached, hangs, or refuses writes now
└── ConnectionLost      an open connection broke; a read may be sent once more on a new one
StoreError              the store refused a command: a defect of this service, never an outage
"""

from __future__ import annotations

from service.domain.errors import StoreUnavailable


class ConnectionLost(StoreUnavailable):
    """A connection that was open broke: the server restarted, closed it as idle, or is gone."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("lost", detail)


class StoreError(RuntimeError):
    """The store's refusal of a command or a script, in its own words, which hold no reader data."""


class EmbeddedStoreError(RuntimeError):
    """The embedded store cannot be started; the text is a sentence for the operator, with the variable and the folder."""


class FolderInUse(EmbeddedStoreError):
    """Another process owns the folder of the embedded store."""


# The first word of an error reply → why. Any other error reply is a defect in the command: StoreError.
_OUTAGES = {
    "READONLY": "readonly",
    "NOREPLICAS": "noreplicas",
    "CLUSTERDOWN": "clusterdown",
    "LOADING": "loading",
    "MASTERDOWN": "masterdown",
    "MISCONF": "misconf",
    "OOM": "oom",
    "BUSY": "busy",
    "NOAUTH": "auth",
    "WRONGPASS": "auth",
    "NOPERM": "noperm",
    "DENIED": "auth",
    "MOVED": "moved",
    "ASK": "moved",
    "TRYAGAIN": "tryagain",
}

# Error replies that begin with ERR and mean an outage too.
_OUTAGE_TEXTS = {
    "ERR max number of clients reached": "clients",
    "ERR max number of clients + cluster connections reached": "clients",
    "ERR AUTH ": "auth",
    "ERR ACL failure in script": "noperm",
    "ERR invalid password": "auth",
    "ERR DB index is out of range": "db",
    "ERR This instance has cluster support disabled": "no_cluster",
}

OUTAGE_WORDS = (
    *dict.fromkeys(_OUTAGES.values()),
    *("clients", "db", "no_cluster"),
    *("timeout", "lost", "refused", "unreachable", "permission", "network", "dns", "tls", "certificate"),
    *("no_master", "protocol", "internal"),
)
"""Every `StoreUnavailable.why` that opens the circuit breaker."""


def outage_in(reply: str) -> str | None:
    """Return the word for an error reply that means "unavailable", or `None` if the command itself was wrong."""
    why = _OUTAGES.get(reply.split(" ", 1)[0])
    if why is None and reply.startswith("ERR "):
        why = next((word for start, word in _OUTAGE_TEXTS.items() if reply.startswith(start)), None)
    return why
