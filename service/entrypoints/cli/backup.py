"""`paywall backup`, `paywall restore`: one sealed file with all that the store holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from service.adapters.clock import clock_of
from service.adapters.crypto import Sealer
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.domain.errors import StoreUnavailable
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Output
from service.settings.settings import Settings
from service.use_cases.operations import backup as backups
from service.use_cases.operations.backup import BackupSummary, BadBackup, RestoreIncomplete, StoreInUse, StoreNotEmpty


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@session.prints
def backup(file: Path, force: bool) -> Output:
    """Write all that the store holds to FILE (mode 600), sealed with PAYWALL_SECRETS; beside a running service."""
    sealer = _sealer(
        session.settings(), "no other store could open a backup sealed with a secret that is kept in this one"
    )
    if file.exists() and not file.is_file():  # the backup would replace it: /dev/null, for example
        session.fail(f"{file}: cannot be written: it exists, and is not a regular file")
    if file.exists() and not force:
        session.fail(f"{file} exists, and nothing was written. Choose another name, or pass --force to replace it.")
    service = session.open_service()
    with backups.patient_store(service.store.link.address, service.store.keys) as store:
        try:
            summary = backups.write_backup(file, store, sealer, service.clock())
        except OSError as error:
            session.fail(f"{file}: cannot be written: {error.strerror}")
    text = f"{summary.keys} keys are in {file}. Left out: {_left_out(summary)}.\nsha256 {summary.checksum}"
    return _output(file, summary, text)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Delete what the store holds under the prefix first.")
@session.prints
@session.confirms("Delete what the store holds, and restore {file}?", only_with="replace")
def restore(file: Path, replace: bool) -> Output:
    """Restore a backup into an empty store; with `serve` stopped, and with the same PAYWALL_SECRETS."""
    settings = session.settings()
    configure_logs(command=True)
    sealer = _sealer(settings, "a backup is sealed with it")
    try:
        summary = backups.check_backup(file, sealer)
        with backups.exclusive_store(settings) as store, _progress_bar(summary.keys) as progress:
            replaced = backups.restore_backup(file, store, sealer, replace=replace, progress=progress)
            now = clock_of(settings.demo_clock)()
            backups.record_restore(store, settings.secrets, summary, replaced, session.actor(), now)
    except (BadBackup, EmbeddedStoreError) as error:
        session.fail(str(error))
    except StoreInUse:
        session.fail("A `paywall serve` or worker runs on this store; stop it first. Nothing was written.")
    except StoreNotEmpty as error:
        found = f"The store holds {error.keys} keys of this prefix; nothing was written."
        session.fail(f"{found} Pass --replace to delete them.")
    except RestoreIncomplete as error:
        lost = f"The store lacks {error.missing} keys of the backup, although it accepted them"
        session.fail(f"{lost}: check its maxmemory and its eviction policy, and start again, with --replace.")
    except OSError as error:
        session.fail(f"{file}: cannot be read: {error.strerror}")
    except StoreUnavailable as error:
        session.fail(f"The store cannot be reached or written now ({error.why}); start again, with --replace.")
    text = f"{summary.keys} keys of {summary.made_at} are restored.\n{_LOST}\nStart `paywall serve`: it catches up with Stripe."
    return _output(file, summary, text)


_LOST = (
    "Every change since that time is gone, and must be made again: grants, revocations, links, merges, erasures, and keys "
    "that were created or ended. The audit log records this restore."
)


def _left_out(summary: BackupSummary) -> str:
    """Return which keys of the store are not in the backup."""
    titles = [f"{count} of another title ({prefix})" for prefix, count in sorted(summary.other_titles.items())]
    return ", ".join([f"{summary.short_lived} short-lived keys", *titles])


def _sealer(settings: Settings, why: str) -> Sealer:
    if not settings.secrets:
        generate = "Generate one with `openssl rand -hex 32` and set it."
        session.fail(f"PAYWALL_SECRETS is not set, and {why}. {generate}")
    return Sealer(settings.secrets, backups.PURPOSE)


@contextmanager
def _progress_bar(length: int) -> Iterator[Callable[[int], None]]:
    if session.wants_json():
        yield lambda _: None
        return
    with click.progressbar(length=length, label="restore", file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _output(file: Path, summary: BackupSummary, text: str) -> Output:
    found = {
        "file": str(file),
        "made_at": summary.made_at,
        "prefix": summary.prefix,
        "keys": summary.keys,
        "left_out": {"short_lived": summary.short_lived, "other_titles": dict(summary.other_titles)},
        "sha256": summary.checksum,
    }
    return Output(found, text)
