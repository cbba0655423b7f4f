"""What the page needs of the service: the pieces behind the API, by the names that they have there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from service.desk import Desk
from service.engine.admin import Admin
from service.engine.engine import Engine
from service.erasure import Erasure
from service.governance import Governance
from service.importing.bulk import GrantImports
from service.overview import Overview
from service.profile import Profiles
from service.sharing import Sharing
from service.store.grants import Grants
from service.store.keys import Keys
from service.store.link import Link
from service.store.readers import Readers
from service.store.secret import Secrets
from service.web.privacy import Export


class House(Protocol):
    """`service.app.Service`, as far as the page knows it."""

    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def link(self) -> Link: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def readers(self) -> Readers: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def desk(self) -> Desk: ...
    @property
    def profiles(self) -> Profiles: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def stripe_admin(self) -> Admin: ...
    @property
    def governance(self) -> Governance: ...
    @property
    def imports(self) -> GrantImports: ...
    @property
    def sharing(self) -> Sharing: ...
    @property
    def overview(self) -> Overview: ...
    @property
    def erasure(self) -> Erasure: ...
    @property
    def export(self) -> Export: ...
