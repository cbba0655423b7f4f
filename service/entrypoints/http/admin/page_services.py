"""What the page needs of the service: the pieces behind the API, by the names that they have there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grants import Grants
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.service_state.secrets import Secrets
from service.entrypoints.http.api.privacy import Export
from service.use_cases.access.check import Desk
from service.use_cases.access.reader_profile import Profiles
from service.use_cases.grants.imports.grant_imports import GrantImports
from service.use_cases.operations.governance import Governance
from service.use_cases.privacy.erasure import Erasure
from service.use_cases.reporting.dashboard import Overview
from service.use_cases.story_passes.gifts import Sharing
from service.use_cases.subscriptions.administration import Admin
from service.use_cases.subscriptions.processor import Engine


class House(Protocol):
    """`service.bootstrap.Service`, as far as the page knows it."""

    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def store(self) -> Store: ...
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
