"""`paywall backup`, `paywall restore`: one sealed file with all that the store holds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from service.adapters.crypto import Sealer
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.address import Address, parse_address
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.store import Store
from service.adapters.redis.embedded.embedded_store import EmbeddedStore
from service.adapters.redis.embedded.folder_lock import Ownership
from service.adapters.redis.service_state.coordination import LEADS_FOR
from service.adapters.redis.service_state.snapshot import Snapshot
from service.domain.errors import StoreUnavailable
from service.entrypoints.cli import context as session
from service.settings.settings import Settings
from service.use_cases.operations import backup as backups
from service.use_cases.operations.backup import About, BadBackup

PURPOSE = "backup"
_PATIENCE = 30.0
_POLL = 0.1
_SLOW = 5.0
"""Seconds for one answer of the store."""


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(backup)
    main.add_command(restore)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@session.json_option
def backup(file: Path, as_json: bool) -> None:
    """Write all that the store holds to FILE (mode 600), sealed with PAYWALL_SECRETS; beside a running service."""
    sealer = _sealer(
        session.settings(), "a backup sealed with a secret that lies in the store itself could not be opened"
    )
    if file.exists() and not file.is_file():  # the file takes the place of what is there: of /dev/null, say
        session.fail(f"{file}: cannot be written: it is there already, and no plain file")
    with session.service() as service, _linked(service.store.link.address, lambda: None) as link:
        snapshot = Snapshot(Store(link, service.store.keys))
        try:
            about = backups.write(file, snapshot, sealer, service.settings.prefix, service.clock(), lambda _: None)
        except OSError as error:
            session.fail(f"{file}: cannot be written: {error.strerror}")
    session.show(_told(file, about), as_json, lambda: f"{about.keys} keys are in {file}.\nsha256 {about.checksum}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Delete what the store holds under the prefix first.")
@session.json_option
def restore(file: Path, replace: bool, as_json: bool) -> None:
    """Bring a backup back into an empty store; with `serve` stopped, and with the same PAYWALL_SECRETS."""
    chosen = session.settings()
    configure_logs(command=True)
    sealer = _sealer(chosen, "a backup is sealed with it")
    try:
        about = backups.check(file, sealer)
        with _alone(chosen) as link:
            _put(Snapshot(Store(link, Keys(chosen.prefix))), file, sealer, about, replace, as_json)
    except (BadBackup, EmbeddedStoreError) as error:
        session.fail(str(error))
    except OSError as error:
        session.fail(f"{file}: cannot be read: {error.strerror}")
    except StoreUnavailable as error:
        session.fail(f"The store cannot be reached or written now ({error.why}); begin again, with --replace.")
    session.show(
        _told(file, about),
        as_json,
        lambda: f"{about.keys} keys of {about.made_at} are restored. Start `paywall serve`: it catches up with Stripe.",
    )


def _sealer(chosen: Settings, why: str) -> Sealer:
    if not chosen.secrets:
        session.fail(f"PAYWALL_SECRETS is not set, and {why}. Make one with `openssl rand -hex 32` and set it.")
    return Sealer(chosen.secrets, PURPOSE)


def _put(snapshot: Snapshot, file: Path, sealer: Sealer, about: About, replace: bool, quiet: bool) -> None:
    held = snapshot.holds()
    if held and not replace:
        session.fail(f"The store holds {held} keys of this prefix; nothing was written. Give --replace to delete them.")
    if replace:
        snapshot.clear()
    done = 0
    with _bar("restore", quiet, about.keys) as moved:
        for found in backups.parts(file, sealer):
            snapshot.write(found)
            done += sum(part.first for part in found)
            moved(done)


@contextmanager
def _alone(chosen: Settings) -> Iterator[Link]:
    """A link to the store while no `serve` runs on it: of this machine by the folder, of others by the worker's lead."""
    if chosen.redis_url is None:
        store = EmbeddedStore(chosen.data, kind="command")
        with _linked(parse_address(store.start()), store.stop) as link:
            yield link
        return
    owner = Ownership(chosen.data.absolute(), "command")
    owner.take(_PATIENCE)
    with _linked(parse_address(chosen.redis_url), owner.release) as link:
        _await_no_worker(link, Keys(chosen.prefix).shared("leader"))
        yield link


@contextmanager
def _linked(address: Address, then: Callable[[], None]) -> Iterator[Link]:
    """A link with more patience than a request has."""
    link = Link(address, timeout=_SLOW)
    try:
        if not link.wait(_PATIENCE):
            raise StoreUnavailable(link.why or "timeout")
        yield link
    finally:
        link.close()
        then()


def _await_no_worker(link: Link, leader: bytes) -> None:
    """A worker that was killed leads for a few seconds more; one that runs elsewhere, for ever."""
    begun = time.monotonic()
    while link.call(leader, b"EXISTS", leader):
        if time.monotonic() - begun > LEADS_FOR + 1:
            session.fail("A `paywall serve` or worker runs on this store; stop it first. Nothing was written.")
        threading.Event().wait(_POLL)


@contextmanager
def _bar(label: str, quiet: bool, length: int) -> Iterator[Callable[[int], None]]:
    if quiet:
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _told(file: Path, about: About) -> dict[str, Any]:
    return {
        "file": str(file),
        "made_at": about.made_at,
        "prefix": about.prefix,
        "keys": about.keys,
        "sha256": about.checksum,
    }
