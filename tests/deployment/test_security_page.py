"""Test that docs/explanation/security.md names, for each attack, tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_named_test_exists(file: str, name: str) -> None:
    functions = [node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert name in functions


def test_every_attack_has_a_test() -> None:
    attacks = PAGE.partition("## What holds an attack off")[2].partition("## What isn't held off")[0]
    rows = [line for line in attacks.splitlines() if line.startswith("| ") and not line.startswith("| attack |")]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row.split(" | ")[-1]] == []


def test_every_secret_of_the_environment_has_steps() -> None:
    steps = PAGE.partition("## Rotate keys and secrets")[2]
    documented = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    secrets = set(re.findall(r"^\| `((?:PAYWALL|STRIPE)_\w*(?:KEYS?|SECRETS?))`", documented, re.MULTILINE))
    assert len(secrets) == 6
    assert {name for name in secrets if f"`{name}`" not in steps} == set()


def test_security_file_leads_to_the_page() -> None:
    assert "docs/explanation/security.md" in (ROOT / "SECURITY.md").read_text()
