"""Test the CSV file of a grant import: valid files, and every mistake with its line and field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.redis.client.keys import reader_hash
from service.domain.errors import FileTooLarge
from service.use_cases.grants.imports import grant_file
from service.use_cases.grants.imports.grant_file import GrantEntry
from service.use_cases.imports.csv_file import ImportSheet
from tests.policies import parse_catalogue
from tests.running_service import POLICY

NOW = 1_795_000_000.0
CATALOGUE = parse_catalogue(POLICY)
LIMITED = parse_catalogue(POLICY + '\n[grants]\nplans = ["vip"]\nlongest = "400d"\n')
HEADER = "reader,plan,until,reason\n"


def read(text: str | bytes, catalogue: object = CATALOGUE) -> ImportSheet[GrantEntry]:
    body = text if isinstance(text, bytes) else text.encode()
    return grant_file.read(body, catalogue, NOW)  # type: ignore[arg-type]  # object avoids a separate type name in the tests


def entries(text: str | bytes) -> list[GrantEntry]:
    return [entry for batch in read(text).batches() for entry in batch]


def wrong(text: str | bytes, catalogue: object = CATALOGUE) -> list[tuple[int, str]]:
    return [(mistake.line, mistake.field) for mistake in read(text, catalogue).mistakes]


def test_row_has_reader_plan_end_and_reason() -> None:
    (entry,) = entries(HEADER + 'r-1,vip,2027-01-01T01:00:00+01:00,"press, card"\n')
    assert (entry.line, entry.tag, entry.plan) == (2, reader_hash("r-1"), "vip")
    assert (entry.until, entry.reason) == (1_798_761_600, "press, card")


def test_never_means_no_end_and_an_empty_end_is_rejected() -> None:
    assert entries(HEADER + "r-1,vip,never,why\n")[0].until is None
    assert wrong(HEADER + "r-1,vip,,why\n") == [(2, "until")]


@pytest.mark.parametrize("end", ["tomorrow", "0d", "2027-01-01T00:00:00", "Never", "2020-01-01"])
def test_end_must_be_a_future_time_date_or_span(end: str) -> None:
    assert wrong(HEADER + f"r-1,vip,{end},why\n") == [(2, "until")]


@pytest.mark.parametrize(("end", "until"), [("2026-12-31", 1_798_779_600), ("30d", int(NOW) + 30 * 86_400)])
def test_end_is_a_date_in_the_sites_timezone_or_a_span(end: str, until: int) -> None:
    assert entries(HEADER + f"r-1,vip,{end},why\n")[0].until == until


def test_file_separated_by_semicolons_is_read() -> None:
    (entry,) = entries('\ufeffreader;plan;until;reason\r\nr-1;vip;never;"press; card, 2027"\r\n')
    assert (entry.tag, entry.plan, entry.reason) == (reader_hash("r-1"), "vip", "press; card, 2027")
    assert wrong("reader;plan;until;reason\nr-1,vip,never,why\n") == [(2, "row")]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("plan,reader,until,reason", "column 1 must be reader, and is “plan”"),
        ("reader;plan;ends;reason", "column 3 must be until, and is “ends”"),
        ("reader,plan,until", "column 4 (reason) is missing"),
        ("reader,plan,until,reason,note", "column 5 (“note”) is one too many"),
        ("", "column 1 (reader) is missing"),
        ("r-1,vip,never,why", "column 1 must be reader, and is “r-1”"),
        ("reader\tplan\tuntil\treason", "column 1 must be reader, and is “reader\tplan\tuntil\treason”"),
    ],
)
def test_wrong_column_is_named(header: str, why: str) -> None:
    (mistake,) = read(header + "\n").mistakes
    assert (mistake.line, mistake.field) == (1, "header")
    assert mistake.message == f"must be reader,plan,until,reason: {why}"


def test_template_is_a_valid_file() -> None:
    for catalogue in (CATALOGUE, LIMITED):
        sheet = read(grant_file.template(catalogue), catalogue)
        assert (sheet.mistakes, sheet.rows) == ([], 1)


def test_all_mistakes_of_a_row_are_reported() -> None:
    assert wrong(HEADER + "a/b,nothing,,  \n") == [(2, "reader"), (2, "plan"), (2, "until"), (2, "reason")]


def test_row_with_other_columns_is_reported_and_the_rest_read() -> None:
    text = HEADER + "r-1,vip,never\nr-2,vip,never,why,more\nr-3,vip,never,why\n"
    assert wrong(text) == [(2, "row"), (3, "row")]
    assert (len(entries(text)), read(text).rows) == (1, 3)


def test_repeated_reader_and_plan_is_reported_with_the_first_line() -> None:
    sheet = read(HEADER + "r-1,vip,never,why\nr-1,quiet,never,why\nr-1,vip,2027-01-01T00:00:00Z,why\n")
    (mistake,) = sheet.mistakes
    assert (mistake.line, mistake.field) == (4, "reader")
    assert "line 2" in mistake.message


def test_empty_lines_are_skipped_but_counted_as_lines() -> None:
    sheet = read(HEADER + "\nr-1,vip,never,why\n\n,vip,never,why\n\n")
    assert (sheet.rows, [(m.line, m.field) for m in sheet.mistakes]) == (2, [(5, "reader")])


def test_row_over_several_lines_has_the_number_of_its_first() -> None:
    assert wrong(HEADER + 'r-1,vip,never,"two\nlines"\nr-2,vip,,why\n') == [(4, "until")]


def test_file_that_is_not_utf8_is_reported_with_its_line() -> None:
    assert wrong((HEADER + "r-1,vip,never,why\nr-2,vip,never,caf").encode() + b"\xe9\n") == [(3, "row")]


def test_unclosed_quote_is_reported() -> None:
    assert wrong(HEADER + 'r-1,vip,never,"why\nr-2,vip,never,why\n') == [(2, "row")]


def test_oversized_cell_is_reported_and_the_rest_read() -> None:
    assert wrong(HEADER + f"r-1,vip,never,{'x' * 200_000}\nr-2,vip,,why\n") == [(2, "reason"), (3, "until")]


@pytest.mark.parametrize("before", ["", HEADER, HEADER + "r-1,vip,,why\n"])
def test_very_long_line_is_not_split_into_cells(before: str) -> None:
    """As cells, 16 MiB of commas would take 300 MiB of memory."""
    mistakes = read(before + "," * (2 << 20) + "\nr-2,vip,,why\n").mistakes
    assert mistakes[-1].line == before.count("\n") + 1
    assert "more than 1048576 characters" in mistakes[-1].message


def test_grant_policy_limits_plans_and_length_of_rows() -> None:
    rows = HEADER + "r-1,quiet,2027-01-01T00:00:00Z,why\nr-2,vip,never,why\nr-3,vip,2030-01-01T00:00:00Z,why\n"
    assert wrong(rows, LIMITED) == [(2, "plan"), (3, "until"), (4, "until")]
    assert wrong(rows) == []


@pytest.mark.full
def test_more_than_50000_rows_are_rejected() -> None:
    assert read(HEADER + "x,y\n" * 50_000).rows == 50_000
    with pytest.raises(FileTooLarge):
        read(HEADER + "x,y\n" * 50_001)


@given(st.binary(max_size=400))
def test_random_file_is_read_without_an_exception(body: bytes) -> None:
    read(HEADER.encode() + body)
    read(body)
