"""The errors that adapters and use cases raise, whichever entrypoint turns them into words.

StoreUnavailable        the store cannot be reached, hangs, or refuses writes now
"""

from __future__ import annotations


class StoreUnavailable(Exception):
    """The store cannot be reached, hangs, or refuses writes now: `[failure]` decides, or the answer is 503.

    `why` is one constant word, for a metric's label and a log line: refused, timeout, lost, dns, certificate, tls,
    auth, noperm, readonly, noreplicas, clusterdown, loading, masterdown, misconf, oom, busy, clients, no_master, moved,
    tryagain, protocol, open (the breaker is open, no request was sent), closed (by this process). The text never holds a
    secret.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(detail or why)
        self.why = why

    @property
    def cause(self) -> str:
        """Return `why`, or the word for what opened the breaker where it is open."""
        return str(self) if self.why == "open" else self.why
