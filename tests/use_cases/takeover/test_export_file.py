"""Files as they really come: saved by spreadsheets, with line breaks in cells, in other encodings, cut in the middle."""

from __future__ import annotations

import pytest

from service.domain.errors import WrongRows
from tests.use_cases.takeover.sample_exports import EXPORTS, read_sample

SAMPLES = ("ghost", "leaky", "pmp", "woocommerce", "stripe_subscriptions")


def _mistake(body: bytes, form: str = "ghost", column: str = "id") -> str:
    with pytest.raises(WrongRows) as caught:
        read_sample(form, body, column=column)
    return "; ".join(f"{field}: {message}" for field, message in caught.value.errors)


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_cut_within_a_row_is_refused(sample: str) -> None:
    body = (EXPORTS / f"{sample}.csv").read_bytes().rstrip(b"\r\n")
    last_row = body.rindex(b"\n") + 1
    last_cell = max(body.rindex(b","), last_row)
    for end in range(last_row + 1, last_cell, 7):
        with pytest.raises(WrongRows) as caught:
            read_sample(sample, body[:end])
        assert "cut" in str(caught.value.errors), end


def test_reader_id_that_may_be_cut_is_refused() -> None:
    body = (EXPORTS / "stripe_subscriptions.csv").read_bytes()
    assert "no end of line" in _mistake(body.rstrip()[:-1], "stripe", "reader_id (metadata)")


def test_end_that_may_be_cut_off_is_refused_and_not_taken_for_no_end() -> None:
    body = (EXPORTS / "pmp.csv").read_bytes()
    cut = body[: body.rindex(b",") + 1]
    assert "no end of line" in _mistake(cut, "pmp")
    assert read_sample("pmp", cut + b"\n")


def test_date_that_is_cut_is_refused_and_one_that_is_unreadable_is_a_loss() -> None:
    body = b"id,membership,subscription_transaction_id,expires\n1,Gold supporter,,2027-0"
    with pytest.raises(WrongRows, match="1 mistakes"):
        read_sample("pmp", body)
    assert read_sample("pmp", body + b"\n")[0].member.end_rule == "unreadable"


def test_customer_that_may_be_cut_is_refused_also_in_ghosts_export() -> None:
    body = b"id,complimentary_plan,tiers,stripe_customer_id\n1,false,Gold supporter,cus_1"
    assert "no end of line" in _mistake(body)
    assert read_sample("ghost", body + b"\n")


def test_leaky_answer_that_is_cut_is_refused() -> None:
    with pytest.raises(WrongRows, match="1 mistakes"):
        read_sample("leaky", (EXPORTS / "leaky.csv").read_bytes().rstrip()[:-1])


@pytest.mark.parametrize("sample", SAMPLES)
def test_file_saved_by_a_spreadsheet_reads_the_same(sample: str) -> None:
    body = (EXPORTS / f"{sample}.csv").read_text("utf-8")
    rows = read_sample(sample)
    assert read_sample(sample, b"\xef\xbb\xbf" + body.encode()) == rows
    assert read_sample(sample, body.replace("\n", "\r\n").encode()) == rows


def test_semicolons_separate_where_the_header_has_them() -> None:
    body = b'id;complimentary_plan;stripe_customer_id;tiers\r\n1;true;;"Gold supporter"\r\n'
    (row,) = read_sample("ghost", body)
    assert row.member.levels == ("Gold supporter",)


@pytest.mark.parametrize("sample", SAMPLES)
def test_line_of_separators_alone_gives_no_access(sample: str) -> None:
    """Spreadsheets write empty rows below a table like that; in a list of active members each row has access."""
    header = (EXPORTS / f"{sample}.csv").read_text("utf-8").splitlines()[0]
    (row,) = read_sample(sample, f"{header}\n{',' * header.count(',')}\n".encode())
    assert (row.line, row.member.reader, row.member.access) == (2, "", False)


def test_rows_after_a_line_break_in_a_cell_keep_their_line() -> None:
    lines = {row.member.reader[-2:]: row.line for row in read_sample("ghost")}
    assert (lines["06"], lines["07"]) == (7, 9)


def test_thousands_of_columns_are_read() -> None:
    extra = ",".join(f"custom_fields.{n}" for n in range(5_000))
    body = f"id,complimentary_plan,stripe_customer_id,tiers,{extra}\n1,true,,Gold{',' * 5_000}\n"
    assert read_sample("ghost", body.encode())[0].member.access


def test_columns_in_another_order_and_named_twice_are_read_by_their_first_name() -> None:
    body = b"tiers,stripe_customer_id,complimentary_plan,id,tiers\nGold,,true,1,Other\n"
    assert read_sample("ghost", body)[0].member.levels == ("Gold",)


def test_other_encoding_is_named_with_its_line() -> None:
    body = "id,name,complimentary_plan,stripe_customer_id,tiers\n1,a,,,\n2,Zoë,,,\n".encode("latin-1")
    assert _mistake(body) == "line 3, row: is not UTF-8: save the file in UTF-8"


def test_utf_16_is_refused() -> None:
    assert "not UTF-8" in _mistake("id,tiers\n".encode("utf-16"))


def test_row_of_another_length_is_named_with_its_line() -> None:
    head = b"id,complimentary_plan,stripe_customer_id,tiers\n"
    assert _mistake(head + b"1,,,\n2,,\n3,,,\n") == "line 3, row: has 3 columns, and the header has 4"


def test_quoted_cell_without_an_end_is_refused() -> None:
    body = b'id,complimentary_plan,stripe_customer_id,tiers\n1,,,"Gold\n2,,,\n'
    assert "line 2, row: cannot be read" in _mistake(body)


def test_empty_file_is_refused_and_a_header_alone_is_not() -> None:
    assert "cut" in _mistake(b"")
    assert read_sample("ghost", b"id,complimentary_plan,stripe_customer_id,tiers\n") == []


def test_export_of_another_system_is_refused() -> None:
    found = _mistake((EXPORTS / "leaky.csv").read_bytes())
    assert "this is not Ghost's members export" in found


def test_missing_column_of_readers_is_named_with_those_that_exist() -> None:
    found = _mistake((EXPORTS / "stripe_customers.csv").read_bytes(), "stripe", "member (metadata)")
    assert "--reader-column" in found
    assert "reader_id (metadata)" in found
