"""The secrets that seal and sign: `PAYWALL_SECRETS`, or one that is generated once and stored."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cache, cached_property

from service.adapters.crypto import Sealer, Signer, SigningKeys, derive_signing_keys
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords


class Secrets(StoreRecords):
    """Returns sealers, signers and key pairs by purpose. Raises: StoreUnavailable if the stored secret cannot be read."""

    def __init__(self, store: Store, configured: Sequence[str]) -> None:
        super().__init__(store)
        self._key = store.keys.shared("secret")
        self._configured = tuple(configured)
        self.sealer: Callable[[str], Sealer] = cache(lambda purpose: Sealer(self._all, purpose))
        self.signer: Callable[[str], Signer] = cache(lambda purpose: Signer(self._all, purpose))
        self.signing_keys: Callable[[str], SigningKeys] = cache(lambda purpose: derive_signing_keys(self._all, purpose))

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
        self._call(b"SET", self._key, secrets.token_urlsafe(32), b"NX")
        return (self._call(b"GET", self._key).decode(),)

    def sealer_with_stored(self, purpose: str) -> Sealer:
        """Return a sealer that also opens what was sealed with the stored secret, before `PAYWALL_SECRETS` was set."""
        stored = self._call(b"GET", self._key)
        return self.sealer(purpose) if stored is None else Sealer([*self._all, stored.decode()], purpose)

    def derive(self) -> None:
        """Derive keys from `PAYWALL_SECRETS` now, so that no request waits for it; a stored secret is read at its first use."""
        if self._configured:
            self.sealer("decision")
