"""The secrets that seal and sign: `PAYWALL_SECRETS`, or one that is generated once and stored."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cache, cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.adapters.crypto import Sealer, Signer, derive_signing_keys
from service.adapters.redis.client.store import Store


class Secrets:
    """Returns sealers, signers and key pairs by purpose. Raises: StoreUnavailable if the stored secret cannot be read."""

    def __init__(self, store: Store, configured: Sequence[str]) -> None:
        self._link = store.link
        self._key = store.keys.shared("secret")
        self._configured = tuple(configured)
        self.sealer: Callable[[str], Sealer] = cache(lambda purpose: Sealer(self._all, purpose))
        self.signer: Callable[[str], Signer] = cache(lambda purpose: Signer(self._all, purpose))

    @property
    def configured(self) -> bool:
        """Return whether `PAYWALL_SECRETS` is set.

        Only then can a backup be restored elsewhere, and the audit log detects changes by anyone who can write to the store.
        """
        return bool(self._configured)

    @cached_property
    def _all(self) -> tuple[str, ...]:
        if self._configured:
            return self._configured
        self._link.call(self._key, b"SET", self._key, secrets.token_urlsafe(32), b"NX")
        return (bytes(self._link.call(self._key, b"GET", self._key)).decode(),)

    def signing_keys(self, purpose: str) -> list[Ed25519PrivateKey]:
        """Return the keys that sign for a purpose; the first signs, the public keys of all verify."""
        return derive_signing_keys(self._all, purpose)
