"""The public keys by which others verify story passes.

Whoever knows the public key of a release before 0.1.0 can guess its secret fast. So it is published only as long as a pass of
such a release is listed: one that was created before the title was registered in the store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from service.adapters.redis.service_state.snapshot import TitleRegistry
from service.adapters.redis.story_passes.passes import Passes
from service.adapters.signed_tokens import PassTokens
from service.domain.errors import StoreUnavailable


@dataclass
class PublicPassKeys:
    """The public keys of one process. Whether passes of an earlier release are listed is found out once."""

    tokens: PassTokens
    titles: TitleRegistry
    passes: Passes
    _has_former: bool | None = field(default=None, init=False)

    def load(self) -> dict[str, Any]:
        """Return the public keys as a JWK set. Raises: StoreUnavailable if the secret is in the store."""
        if self._has_former is None:
            with suppress(StoreUnavailable):  # No pass opens a story either.
                since = self.titles.registered_at()
                self._has_former = None if since is None else self.passes.has_listed_before(since)
        return self.tokens.public_keys(with_former=bool(self._has_former))
