"""Fixtures: an app that shows the time of a recorded Stripe, and an event processor over its store."""

from __future__ import annotations

import pytest

from tests.admin_app import Admins
from tests.recorded_stripe import NOW, Maker, Stage


@pytest.fixture
def at_noon(admins: Admins) -> Admins:
    admins.app.clock.now = float(NOW)
    return admins


@pytest.fixture
def stage(at_noon: Admins) -> Stage:
    return Stage.over(at_noon.app.service)


@pytest.fixture
def make(stage: Stage) -> Maker:
    """Make Stripe's objects, and deliver their events to the processor of `stage`."""
    return Maker(stage)
