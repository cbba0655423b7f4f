"""Test that docs/explanation/faults.md names, for each fault, tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "faults.md").read_text()


def test_every_fault_has_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| fault", "| size"))]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    tests = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert [row for row in rows if "`test_" not in row and "the same test" not in row] == []
    assert named - tests == set()
