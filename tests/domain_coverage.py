"""Fail unless tests cover every branch of the domain: `python tests/domain_coverage.py coverage.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Print each file of `service/domain/` with an uncovered line or branch; return 1 if there is one."""
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    rules = {name: found["summary"] for name, found in files.items() if name.startswith("service/domain/")}
    if not rules:
        print("service/domain/ was not measured")
        return 1
    bare = [
        f"{name}: {found['missing_lines']} lines, {found['missing_branches']} branches"
        for name, found in rules.items()
        if found["missing_lines"] or found["missing_branches"]
    ]
    print("\n".join(["not covered:", *bare]) if bare else f"every branch of {len(rules)} files of rules is covered")
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main())
