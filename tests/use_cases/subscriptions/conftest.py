"""Fixtures: a processor on an empty store, and the links of other processes to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.link import Link
from service.domain.catalogue import Catalogue
from service.use_cases.subscriptions.scheduled_jobs import ScheduledJobs
from service.use_cases.subscriptions.subscription_admin import SubscriptionAdmin
from tests.policies import parse_catalogue
from tests.recorded_stripe import POLICY, Notebook, Stage, admin_of
from tests.stepped_link import Step, SteppedLink, go_on


@pytest.fixture(scope="session")
def stories(stripe_reference: Path) -> dict[str, dict[str, Any]]:
    """Return the recorded lifecycles by their names."""
    folder = stripe_reference / "lifecycles"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return parse_catalogue(POLICY)


@pytest.fixture
def stage(link: Link, catalogue: Catalogue) -> Stage:
    return Stage(link, catalogue)


Stepped = Callable[..., SteppedLink]


@pytest.fixture
def stepped(store_url: str) -> Iterator[Stepped]:
    """Make available links of other processes to the same store: `stepped(before=…, after=…)`."""
    made: list[SteppedLink] = []

    def make(before: Step = go_on, after: Step = go_on) -> SteppedLink:
        made.append(SteppedLink(parse_address(store_url), before=before, after=after))
        assert made[-1].wait(60)
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def stage_of(link: Link, catalogue: Catalogue) -> Callable[[], Stage]:
    """Make stages one after the other, each on an empty store."""

    def emptied() -> Stage:
        link.each_master("FLUSHALL")
        return Stage(link, catalogue)

    return emptied


@pytest.fixture
def notebook(stage: Stage) -> Notebook:
    return Notebook(stage.link, stage.keys)


@pytest.fixture
def admin(stage: Stage, notebook: Notebook) -> SubscriptionAdmin:
    return admin_of(stage, notebook, stage.processor)


@pytest.fixture
def run_jobs(stage: Stage) -> Callable[..., int]:
    """Run the worker's jobs once."""
    return lambda now, everything=True: ScheduledJobs(stage.make()).run_due(now, everything=everything)
