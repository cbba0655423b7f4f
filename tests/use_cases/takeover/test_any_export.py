"""Whatever cells an export holds: every row is accounted for, and only members with access get something."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import WrongRows
from service.use_cases.takeover.comparison import compare
from service.use_cases.takeover.formats import FORMATS
from service.use_cases.takeover.planning import MemberPlan, Person, Rules, choose_links, plan_row, settle
from service.use_cases.takeover.stripe_view import StripeView
from tests.use_cases.takeover.sample_exports import EXPORTS, NOW, catalogue, level_map, read_sample

HEADERS = {path.stem: next(csv.reader(io.StringIO(path.read_text("utf-8")))) for path in sorted(EXPORTS.glob("*.csv"))}
TIMES = ["", "0", "N/A", "Never", "0000-00-00 00:00:00", "2026-11-29", "2027-01-31 23:59:59", "2020-01-01", "soon"]
WORDS = ["true", "false", "yes", "no", "active", "wc-active", "wc-pending-cancel", "past_due", "canceled", "Stripe"]
IDS = [
    "1",
    "2",
    "r-3",
    "a/b",
    "cus_1",
    "sub_1",
    "I-9",
    "Gold supporter",
    "Friends, patrons",
    "Registered",
    "price_month",
]
ITEMS = ["product_id:1|name:Gold supporter|quantity:1|total:9.00|meta:|tax:0", "_stripe_customer_id:cus_2|_x:1", "9.00"]
CELLS = st.one_of(st.sampled_from([*TIMES, *WORDS, *IDS, *ITEMS]), st.text(max_size=8))


UNREAD = (
    "order_",
    "fee",
    "cart_",
    "billing_",
    "shipping_",
    "user_login",
    "Created",
    "Start",
    "Current",
    "Trial",
    "note",
)
"""How columns begin that no format reads; they are empty, because examples are short."""


@st.composite
def exports(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return the name of a sample, and a file with its columns and any cells."""
    name = draw(st.sampled_from(sorted(HEADERS)))
    read = [column == "order_items" or not column.startswith(UNREAD) for column in HEADERS[name]]
    rows = draw(st.lists(st.lists(CELLS, min_size=sum(read), max_size=sum(read)), max_size=4))
    filled = [[next(cells) if is_read else "" for is_read in read] for cells in map(iter, rows)]
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([HEADERS[name], *filled])
    return name, out.getvalue().encode("utf-8", "replace")


@given(exports())
def test_rows_are_accounted_for_and_only_access_is_carried_over(export: tuple[str, bytes]) -> None:
    name, body = export
    try:
        rows = read_sample(name, body)
    except WrongRows:
        return  # A cell that the other system never writes.
    people = {row.member.reader: Person(row.member.reader) for row in rows}
    rules = Rules(level_map(), catalogue(), NOW)
    plans = [plan_row(row, people, rules) for row in rows]
    choose_links(plans)
    settle(plans, StripeView(), {}, rules)
    found = compare(plans, people)
    assert len(plans) == len(rows)
    for plan in plans:
        _check(plan)
    readers = {plan.reader for plan in plans if plan.reader is not None}
    without = sum(plan.reader is None and plan.access for plan in plans)
    assert found.same + found.gains + found.loses == len(readers) + without
    assert found.gains == 0
    linked = [plan.link for plan in plans if plan.link is not None and not plan.repeats_link]
    assert len(linked) == len(set(linked))
    assert set(FORMATS) >= {name.partition("_")[0]}


def _check(plan: MemberPlan) -> None:
    assert all(grant.until is None or grant.until > NOW for grant in plan.grants)
    if not plan.access:
        assert not plan.grants
        assert not plan.seat
        assert not plan.opens
    if plan.reader is None:
        assert not plan.grants
        assert plan.link is None
    if plan.access and not plan.opens:
        assert plan.trouble is not None
