"""`paywall test-policy`: run the policy tests of a newsroom against paywall.toml, without a store and without secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson

from service.domain.policy_cases import Difference, find_differences
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Output
from service.settings.policy_file import read_folder
from service.settings.policy_test_file import read_cases
from service.settings.validation import Mistake


@click.command("test-policy")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@session.prints
def test_policy(files: Sequence[Path]) -> Output:
    """Run policy tests: the cases of each FILE against paywall.toml in PAYWALL_CONFIG.

    A case says who asks for which story, and what the answer should be. Each difference is printed as given, expected and
    got. The exit status is 1 if there is one, and 2 if a file or paywall.toml has mistakes; each is then listed with its
    place. Nothing is counted, and neither a store nor a secret is needed.
    """
    reading = read_folder(session.config_folder())
    if reading.catalogue is None:
        return _refused(reading.mistakes)
    found = read_cases(files, reading.catalogue)
    if found.mistakes:
        return _refused(found.mistakes)
    differences = [one for case in found.cases for one in find_differences(case, reading.catalogue)]
    failed = len({id(one.case) for one in differences})
    number = len(found.cases)
    summary = f"{number} case{'s' * (number != 1)}, {failed or 'none'} failed."
    value = {"ok": not failed, "cases": number, "failed": failed, "mistakes": []}
    return Output(
        {**value, "differences": list(map(_encoded, differences))},
        "\n".join([*_lines(differences), summary]),
        status=1 if failed else 0,
    )


def _refused(mistakes: Sequence[Mistake]) -> Output:
    """Return the mistakes of files, with the status of a wrong usage."""
    value = {"ok": False, "cases": 0, "failed": 0, "mistakes": list(map(asdict, mistakes)), "differences": []}
    return Output(value, "\n".join(map(str, mistakes)), status=2)


def _encoded(difference: Difference) -> dict[str, Any]:
    case = difference.case
    return {
        "where": case.place,
        "name": case.name,
        "given": case.given,
        "field": difference.field,
        "expected": difference.expected,
        "got": difference.got,
    }


def _lines(differences: Sequence[Difference]) -> list[str]:
    lines = []
    for number, one in enumerate(differences):
        case, name = one.case, f" ({one.case.name})" if one.case.name else ""
        if number == 0 or differences[number - 1].case is not case:
            lines += [f"{case.place}{name}", f"  given     {_json(case.given)}"]
        lines += [
            f"  expected  {one.field} = {_json(one.expected)}",
            f"  got       {one.field} = {_json(one.got)}",
        ]
    return lines


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
