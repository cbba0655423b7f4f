"""Test the set-ups of `docs/how-to/registration-and-metered-plans.md`: each is valid, without warnings, and does as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.domain.policy_cases import find_differences
from service.settings.policy_file import read_folder
from service.settings.policy_lints import lint
from service.settings.policy_test_file import read_cases

ROOT = Path(__file__).parents[2]
SETUPS = sorted((ROOT / "config" / "setups").iterdir())
GUIDE = (ROOT / "docs" / "how-to" / "registration-and-metered-plans.md").read_text("utf-8")


@pytest.mark.parametrize("folder", SETUPS, ids=lambda folder: folder.name)
def test_setup_answers_its_cases(folder: Path) -> None:
    reading = read_folder(folder)
    assert reading.catalogue is not None, reading.mistakes
    assert lint(reading.catalogue) == []
    found = read_cases([folder / "policy-tests.toml"], reading.catalogue)
    assert found.mistakes == []
    assert len(found.cases) >= 3
    assert [one for case in found.cases for one in find_differences(case, reading.catalogue)] == []
    assert f"config/setups/{folder.name}/paywall.toml" in GUIDE


def test_the_four_usual_setups_are_there() -> None:
    names = {"hard-wall", "metered-wall", "registration-then-metered", "freemium-with-premium-tier"}
    assert {folder.name for folder in SETUPS} == names
