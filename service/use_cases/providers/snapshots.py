"""Take a snapshot of a provider: refuse one that shrank too much, and commit it after the one before."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.providers.provider_sources import ProviderSources, SnapshotRefusal, SnapshotState
from service.domain.catalogue import Catalogue, Provider
from service.domain.errors import LargestDrop, SnapshotUnfinished, StoreUnavailable, UnknownImport, WrongRows
from service.domain.times import utc
from service.use_cases.imports.bulk_imports import BulkImports, DryRun
from service.use_cases.imports.kinds import PlanContext
from service.use_cases.imports.pacing import UNPACED, Pace, retry_while_unavailable
from service.use_cases.providers.external_sources import find_provider
from service.use_cases.providers.snapshot_file import SnapshotSheet
from service.use_cases.providers.snapshot_kind import SNAPSHOT, SnapshotDrop

_TRIES = 10
"""How often a snapshot is compared anew because another of the same provider came first."""
_TIME_PATIENCE = 1.0
"""Seconds for which the time of a committed snapshot is tried to be saved."""


class SnapshotReport(NamedTuple):
    """What an operator should know of a provider's snapshots: whether something is wrong, and a sentence."""

    provider: Provider
    is_wrong: bool
    text: str


class SnapshotDryRun(NamedTuple):
    """What a snapshot would do, and why it would be refused."""

    found: DryRun
    refused: LargestDrop | None


@dataclass(frozen=True)
class Snapshots:
    """Snapshots of all providers. Raises: StoreUnavailable and UnknownProvider from every method."""

    catalogue: Catalogue
    sources: ProviderSources
    imports: BulkImports

    def dry_run(
        self, provider: str, sheet: SnapshotSheet, now: float, pace: Pace = UNPACED, *, force: bool = False
    ) -> SnapshotDryRun:
        """Return what a snapshot would do. Raises: SnapshotUnfinished."""
        share, drop = find_provider(self.catalogue, provider).largest_drop, SnapshotDrop()
        self._finish_last(provider)
        found = self.imports.dry_run(SNAPSHOT, sheet, now, pace, rule=drop, provider=provider)
        # Of a file with mistakes it is not known what it lacks.
        return SnapshotDryRun(found, None if force or sheet.mistakes else drop.refusal(share))

    def submit(
        self,
        provider: str,
        sheet: SnapshotSheet,
        actor: Actor,
        now: float,
        pace: Pace = UNPACED,
        *,
        force: bool = False,
    ) -> ImportManifest:
        """Stage a snapshot and commit it. Raises: WrongRows, LargestDrop unless `force` is set, SnapshotUnfinished."""
        share = find_provider(self.catalogue, provider).largest_drop
        if sheet.mistakes:
            raise WrongRows(sheet.mistakes)
        kind, staging = self.imports.kinds[SNAPSHOT], self.imports.staging
        for _ in range(_TRIES):
            last, drop = self._finish_last(provider), SnapshotDrop()
            context = PlanContext(new_id("im", now), now, pace, {"provider": provider})
            manifest = staging.stage(kind, sheet, actor, context, drop)
            refusal = drop.refusal(share)
            if refusal is not None and not force:
                self.imports.store.discard(manifest.id)
                self.sources.save_refusal(provider, SnapshotRefusal(int(now), refusal.ending, refusal.running))
                raise refusal
            if self.sources.replace_last_snapshot(provider, last, manifest.id):
                break
            self.imports.store.discard(manifest.id)  # It was compared with a set that another snapshot has changed.
        else:
            raise SnapshotUnfinished
        if refusal is not None:
            manifest = replace(manifest, about={**manifest.about, "forced": True})
        committed = self.imports.commit(manifest, now)
        # Whoever finishes the import saves the time again. If the store stays unavailable, they can name what is committed.
        with suppress(StoreUnavailable):
            retry_while_unavailable(lambda: self.sources.save_snapshot_time(provider, now), _TIME_PATIENCE)
        return committed

    def find(self, provider: str, import_id: str) -> ImportManifest:
        """Return a snapshot of this provider. Raises: UnknownImport."""
        find_provider(self.catalogue, provider)
        manifest = self.imports.find(import_id, SNAPSHOT)
        if manifest.about["provider"] != provider:
            raise UnknownImport
        return manifest

    def list_states(self) -> list[tuple[Provider, SnapshotState]]:
        """Return each provider of the configuration with its last snapshot."""
        providers = self.catalogue.providers.values()
        return [(provider, self.sources.load_snapshot_state(provider.id)) for provider in providers]

    def list_reports(self, now: float) -> list[SnapshotReport]:
        """Return of each provider when it last sent its snapshot, and whether that is too long ago or one was refused."""
        return [_report(provider, state, now) for provider, state in self.list_states()]

    def count_orphans(self, now: float) -> dict[str, int]:
        """Return, by provider, the running subscriptions of those that are no longer in the configuration; it takes a scan."""
        removed = sorted(self.sources.list_providers() - self.catalogue.providers.keys())
        running = {
            name: sum(entry.is_running_at(now) for page in self.sources.iterate(name) for entry in page.values())
            for name in removed
        }
        return {name: count for name, count in running.items() if count}

    def _finish_last(self, provider: str) -> str | None:
        """Return the last snapshot's import, once it is in force. Raises: SnapshotUnfinished."""
        last = self.sources.load_snapshot_state(provider).import_id
        manifest = self.imports.store.find(last) if last is not None else None
        if manifest is not None and manifest.state == "applying":
            manifest = self.imports.finish(manifest.id)
            if manifest.state == "applying":
                raise SnapshotUnfinished
        return last


def is_late(provider: Provider, state: SnapshotState, now: float) -> bool:
    """Return whether a provider's snapshot is overdue; one that is expected and never came is."""
    return provider.expected_every is not None and now - (state.at or 0) > provider.expected_every


def _report(provider: Provider, state: SnapshotState, now: float) -> SnapshotReport:
    last = "no snapshot yet" if state.at is None else f"the last snapshot is of {utc(state.at)}"
    if (refused := state.refused) is not None:
        found = f"a snapshot was refused: it would end {refused.ending} of {refused.running} running subscriptions"
        return SnapshotReport(
            provider, True, f"{found}; {last}. Check the file, and send it with --force if it is right"
        )
    if is_late(provider, state, now):
        return SnapshotReport(provider, True, f"{last}, and it is overdue. Check the job that sends it")
    return SnapshotReport(provider, False, last)
