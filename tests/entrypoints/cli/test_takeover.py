"""`paywall takeover`: the report, what is written, the second run and the undo, as a publisher runs them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from service.adapters.redis.audit.audit import Actor
from service.domain.errors import StoreUnavailable
from service.entrypoints.cli import main
from service.entrypoints.cli.imports import names_import_if_store_fails
from service.use_cases.takeover.formats import FORMATS
from stripe_lookalike import RunningLookalike
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import environment
from tests.stripe_fixtures import Control
from tests.use_cases.takeover.sample_exports import (
    LEVELS,
    POLICY,
    as_of_today,
    level_map,
    read_sample,
    sample_of_today,
)

DAY = 86_400
NEW_YORK = ZoneInfo("America/New_York")
STRIPE_KEY = "sk_test_of_the_take_over"
KEYS = ["id", "rows", "links", "grants", "skipped", "same", "gains", "loses", "differences"]
SAMPLES = ("ghost", "leaky", "pmp", "woocommerce", "stripe_subscriptions")


class Publisher:
    """Runs commands in a folder of their own, over a store that only they use."""

    def __init__(self, folder: Path, store: str, make_app: MakeApp, policy: str = POLICY, **env: str) -> None:
        self.folder = folder
        self.env = environment(folder, policy, {"REDIS_URL": store, "PAYWALL_PREFIX": folder.name, **env})
        self.config = ("--config", str(self.write("levels.toml", as_of_today(LEVELS))))
        self._make_app, self._store = make_app, store

    def run(self, *arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, ["takeover", *arguments], env=self.env)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def take_over(self, form: str, *files: Path | str, status: int = 0, **options: bool) -> dict[str, Any]:
        flags = [f"--{name.replace('_', '-')}" for name, on in options.items() if on]
        given = [str(file) for file in files] or [self.export(form)]
        result = self.run(form.partition("_")[0], *given, *self.config, *flags, "--json", status=status)
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, newline="")
        return path

    def export(self, form: str) -> str:
        """Write a sample export, and return its path."""
        return str(self.write(f"{form}.csv", sample_of_today(form)))

    def app(self) -> InProcessApp:
        """Return the service over the same store, without a key."""
        return self._make_app(self._store, POLICY, PAYWALL_PREFIX=self.folder.name)


MakePublisher = Callable[..., Publisher]


@pytest.fixture
def make_publisher(tmp_path: Path, valkey_url: str, make_app: MakeApp) -> MakePublisher:
    """Make a publisher with an empty store: `make_publisher(policy, STRIPE_API_KEY=…)`."""

    def make(policy: str = POLICY, **env: str) -> Publisher:
        folder = tmp_path / f"press{time.monotonic_ns()}"
        folder.mkdir()
        return Publisher(folder, valkey_url, make_app, policy, **env)

    return make


@pytest.fixture
def publisher(make_publisher: MakePublisher) -> Publisher:
    return make_publisher()


def _audit(app: InProcessApp) -> list[str]:
    """Return the actions in the audit log, the oldest first."""
    return [entry["action"] for entry in reversed(app.call("GET", "/v1/audit", admin=True).get_json()["items"])]


def _readers_with_access(app: InProcessApp) -> set[str]:
    """Return the ends of the IDs of all readers who have access."""
    app.service.reader_lists.prepare()
    items = app.call("GET", "/v1/readers?access=true&limit=100", admin=True).get_json()["items"]
    return {item["reader"][-2:] for item in items}


@pytest.mark.parametrize("form", SAMPLES)
def test_dry_run_accounts_for_every_row_and_writes_nothing(publisher: Publisher, form: str) -> None:
    found = publisher.take_over(form, dry_run=True, status=1)
    assert list(found) == KEYS
    assert found["id"] is None
    assert found["links"] + found["grants"] + sum(found["skipped"].values()) == found["rows"]
    assert found["loses"] == sum(not one["after"] for one in found["differences"])
    assert {tuple(one) for one in found["differences"]} == {("line", "reader", "before", "after", "reason")}
    assert publisher.take_over(form, dry_run=True, accept_losses=True)["rows"] == found["rows"]
    assert publisher.take_over(form, status=1)["id"] is None
    app = publisher.app()
    assert app.call("GET", "/v1/readers", admin=True).get_json()["items"] == []
    assert _audit(app) == []


@pytest.mark.parametrize("form", SAMPLES)
def test_readers_have_the_access_that_the_report_says_and_a_second_run_changes_nothing(
    publisher: Publisher, form: str
) -> None:
    done = publisher.take_over(form, accept_losses=True)
    assert done["id"]
    again = publisher.take_over(form, accept_losses=True)
    assert (again["id"], again["links"], again["grants"]) == (None, 0, 0)
    assert sum(again["skipped"].values()) == done["rows"]
    app = publisher.app()
    assert _audit(app) == ["import.apply"]
    undone = json.loads(publisher.run("undo", done["id"], "--json").stdout)
    assert undone["state"] == "undone"
    assert _audit(app) == ["import.apply", "import.undo"]
    assert _readers_with_access(app) == set()


def test_readers_have_the_access_that_grants_give(publisher: Publisher) -> None:
    publisher.take_over("leaky", accept_losses=True)
    app = publisher.app()
    assert _readers_with_access(app) == {"5", "7", "9", "10", "11", "12", "16"}
    (grant,) = [one for one in app.reader("12")["sources"] if one["type"] == "grant"]
    last_day = datetime.fromisoformat(as_of_today("2026-12-15")).replace(hour=23, minute=59, second=59, tzinfo=NEW_YORK)
    until = last_day.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (grant["reason"], grant["until"], grant["plan"]) == ("takeover: leaky", until, "supporter")


def test_run_after_an_interruption_finishes_what_was_committed(publisher: Publisher) -> None:
    app, form = publisher.app(), FORMATS["leaky"]
    takeover, now = app.service.takeover, app.clock()
    rows = read_sample("leaky", sample_of_today("leaky").encode(), now=now)
    found = takeover.examine(form, rows, level_map(as_of_today(LEVELS)), now, lambda what, done, of: None)
    assert takeover.commit(found, Actor("cli:ann"), now) is not None
    again = publisher.take_over("leaky", accept_losses=True)
    assert (again["id"], again["links"], again["grants"]) == (None, 0, 0)
    assert len(_readers_with_access(app)) == 7
    assert _audit(app) == ["import.apply"]


def test_command_that_loses_the_store_after_the_commit_names_its_import(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, names_import_if_store_fails("im_1", " Run it again."):
        raise StoreUnavailable("timeout")
    text = capsys.readouterr().err
    assert (ended.value.code, "im_1 is committed" in text, text.endswith("is back. Run it again.\n")) == (1, True, True)


# With Stripe: the look-alike holds the subscriptions of the sample exports.


def _subscription(name: str, customer: str, days: int = 5, **more: Any) -> dict[str, Any]:
    """Return a subscription whose current period began some days ago, and lasts 30 days."""
    start = int(time.time()) - days * DAY
    price = {"id": more.pop("price", "price_month"), "object": "price", "product": "prod_x"}
    item = {"id": f"si_{name}", "object": "subscription_item", "price": price, "quantity": more.pop("quantity", 1)}
    item |= {"current_period_start": start, "current_period_end": start + 30 * DAY}
    return {
        "id": name,
        "object": "subscription",
        "customer": customer,
        "status": "active",
        "created": start,
        "metadata": {},
        "items": {"object": "list", "data": [item], "has_more": False, "url": "/v1/subscription_items"},
        **more,
    }


AT_STRIPE = [
    _subscription("sub_1", "cus_paying"),
    _subscription("sub_2", "cus_trial", status="trialing", trial_end=int(time.time()) + DAY),
    _subscription("sub_3", "cus_past_due", status="past_due"),
    _subscription("sub_4", "cus_past_grace", 20, status="past_due"),
    _subscription("sub_5", "cus_cancelling", cancel_at=int(time.time()) + DAY),
    _subscription("sub_6", "cus_cancelled", status="canceled", ended_at=int(time.time()) - DAY),
    _subscription("sub_10", "cus_gift_then_pays"),
    _subscription("sub_14", "cus_silver"),
    _subscription("sub_15", "cus_larger"),
    _subscription("sub_group", "cus_group", price="price_seat_month", quantity=2),
]


@pytest.fixture
def stripe(lookalike: RunningLookalike) -> RunningLookalike:
    for subscription in AT_STRIPE:
        customer = {"id": subscription["customer"], "object": "customer", "metadata": {}, "created": 1}
        lookalike.lookalike.world.add(customer)
        lookalike.lookalike.world.add(subscription)
    return lookalike


@pytest.fixture
def with_key(make_publisher: MakePublisher, stripe: RunningLookalike) -> Publisher:
    return make_publisher(STRIPE_API_KEY=STRIPE_KEY, STRIPE_API_BASE=stripe.url)


def test_access_afterwards_is_what_stripe_says(with_key: Publisher, control: Control) -> None:
    """Nothing of Stripe is known here before: the take-over stores what its lists hold."""
    found = with_key.take_over("ghost", accept_losses=True)
    assert {one["reader"][-2:]: one["reason"] for one in found["differences"]} == {
        "04": "past_due_beyond_grace",
        "14": "level_without_plan",
        "15": "no_subscription_at_stripe",
    }
    asked = [path for _, path in control.asked()]
    assert set(asked) == {"/v1/subscriptions"}
    app = with_key.app()
    # 14 has no plan in takeover.toml, and its price has one in paywall.toml.
    assert _readers_with_access(app) == {"01", "02", "03", "05", "07", "08", "09", "10", "13", "14"}
    again = with_key.take_over("ghost", accept_losses=True)
    assert (again["id"], again["links"], again["grants"]) == (None, 0, 0)
    with_key.run("undo", found["id"])
    assert _readers_with_access(app) == set()
    assert _audit(app) == ["import.apply", "import.undo"]


def test_run_with_a_key_opens_what_a_run_without_one_has_linked(
    with_key: Publisher, make_publisher: MakePublisher
) -> None:
    """As after a crash between the links and the subscriptions: nothing is left to link, and all is stored."""
    without = make_publisher(PAYWALL_PREFIX=with_key.folder.name)
    without.take_over("ghost", accept_losses=True)
    app = with_key.app()
    assert _readers_with_access(app) == {"07", "08", "09", "13", "10"}
    assert with_key.take_over("ghost", accept_losses=True)["id"] is None
    assert _readers_with_access(app) == {"01", "02", "03", "05", "07", "08", "09", "10", "13", "14"}


def test_seat_that_was_given_before_the_group_was_known_opens_later(
    with_key: Publisher, make_publisher: MakePublisher
) -> None:
    make_publisher(PAYWALL_PREFIX=with_key.folder.name).take_over("stripe_subscriptions", accept_losses=True)
    app = with_key.app()
    assert _readers_with_access(app) == set()
    assert with_key.take_over("stripe_subscriptions", accept_losses=True)["id"] is None
    assert "-8" in _readers_with_access(app)


def test_reader_whose_subscription_a_link_would_take_is_named(with_key: Publisher) -> None:
    with_key.take_over("ghost", accept_losses=True)
    body = "id,complimentary_plan,stripe_customer_id,tiers\nr-2,,cus_paying,Gold supporter\n"
    found = with_key.take_over("ghost", with_key.write("other.csv", body), status=1)
    assert (found["same"], found["gains"], found["loses"]) == (1, 0, 1)
    (difference,) = found["differences"]
    assert (difference["reader"][-2:], difference["reason"]) == ("01", "linked_to_another_reader")


def test_take_over_after_an_undo_reads_stripe_by_lists_alone(with_key: Publisher, control: Control) -> None:
    first = with_key.take_over("ghost", accept_losses=True)
    with_key.run("undo", first["id"])
    control.forget()
    second = with_key.take_over("ghost", accept_losses=True)
    assert second["links"] == first["links"]
    assert {path for _, path in control.asked()} == {"/v1/subscriptions"}
    assert "01" in _readers_with_access(with_key.app())


def test_group_payer_has_a_seat_afterwards_and_not_after_the_undo(with_key: Publisher) -> None:
    export = with_key.write("group.csv", "id,complimentary_plan,stripe_customer_id,tiers\nr-1,,cus_group,Newsroom\n")
    done = with_key.take_over("ghost", export)
    assert (done["links"], done["loses"]) == (1, 0)
    app = with_key.app()
    assert _readers_with_access(app) == {"-1"}
    assert [one["type"] for one in app.reader("r-1")["sources"] if one["features"]] == ["seat"]
    assert with_key.take_over("ghost", export)["id"] is None
    assert _audit(app) == ["import.apply"]
    with_key.run("undo", done["id"])
    assert _readers_with_access(app) == set()


# What is refused, and what the publisher sees.


def test_nothing_is_written_while_stripe_is_out_of_reach(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(STRIPE_API_KEY=STRIPE_KEY, STRIPE_API_BASE="http://127.0.0.1:9")
    result = publisher.run("ghost", publisher.export("ghost"), *publisher.config, "--accept-losses", status=1)
    assert (
        "Stripe cannot be reached now (unreachable). Nothing was written. Run the same command again" in result.stderr
    )
    assert result.stdout == ""
    app = publisher.app()
    assert app.call("GET", "/v1/readers", admin=True).get_json()["items"] == []
    assert _audit(app) == []


def test_failure_of_stripe_that_passes_does_not_end_the_take_over(with_key: Publisher, control: Control) -> None:
    control.ask("POST", "/faults", {"status": 500, "times": 1})
    assert with_key.take_over("ghost", accept_losses=True)["links"] > 0


def test_file_that_is_cut_is_refused_with_its_line(publisher: Publisher) -> None:
    cut = publisher.folder / "cut.csv"
    cut.write_bytes(sample_of_today("ghost").encode()[:-60])
    result = publisher.run("ghost", str(cut), "--accept-losses", status=1)
    assert f"{cut}, line 17, row: has" in result.stderr
    assert result.stderr.rstrip().endswith("Nothing was written.")


def test_header_alone_is_nothing_to_do(publisher: Publisher) -> None:
    header = sample_of_today("pmp").splitlines()[0]
    found = publisher.take_over("pmp", publisher.write("empty.csv", f"{header}\n"))
    assert found == {**dict.fromkeys(KEYS, 0), "id": None, "skipped": {}, "differences": []}
    assert _audit(publisher.app()) == []


def test_first_dry_run_proposes_a_map_that_can_be_saved(publisher: Publisher) -> None:
    result = publisher.run("leaky", publisher.export("leaky"), "--dry-run", status=1)
    proposed = result.stdout.partition("name a plan for each level:\n\n")[2]
    filled = publisher.write("takeover.toml", proposed.replace('= ""', '= "supporter"'))
    publisher.run("leaky", publisher.export("leaky"), "--dry-run", "--config", str(filled), "--accept-losses")
    assert '"1" = ""  # 15 rows, 12 with access' in proposed


def test_mistakes_in_the_map_are_refused_with_their_places(publisher: Publisher) -> None:
    wrong = publisher.write("wrong.toml", '[levels]\nGold = "none"\n[ends]\ngift = "soon"\n')
    result = publisher.run("ghost", publisher.export("ghost"), "--config", str(wrong), status=1)
    assert "levels.Gold: must be a plan" in result.stderr
    assert "ends.gift: must be a date" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("substack", "x.csv"), ("ghost",), ("ghost", "missing.csv"), ("ghost", "--nonsense"), ("undo",)]
)
def test_wrong_usage_exits_with_2(publisher: Publisher, arguments: tuple[str, ...]) -> None:
    publisher.run(*arguments, status=2)


def test_page_that_could_not_be_written_is_refused_before_anything_else(publisher: Publisher) -> None:
    page = publisher.folder / "missing" / "report.html"
    publisher.run("leaky", publisher.export("leaky"), "--accept-losses", "--html", str(page), status=2)
    assert _audit(publisher.app()) == []


def test_undo_of_what_is_no_take_over_is_refused(publisher: Publisher) -> None:
    assert "import" in publisher.run("undo", "im_unknown", status=1).stderr.lower()


def test_report_names_reasons_lines_and_what_to_do(publisher: Publisher) -> None:
    page = publisher.folder / "report.html"
    text = publisher.run(
        "ghost", publisher.export("ghost"), *publisher.config, "--dry-run", "--html", str(page), status=1
    ).stdout
    assert "15 rows: 10 links, 3 grants, 2 skipped" in text
    assert "Lose access, 1: the level has no line in takeover.toml. Add a line under [levels], or to free." in text
    assert "line 16: 65a1b2c3d4e5f60718290014" in text
    assert "Nothing was written" in text
    html = page.read_text()
    assert "65a1b2c3d4e5f60718290014" in html
    assert "loses access" in html
    assert "http" not in html.replace("http-equiv", "").replace(str(publisher.folder), "")


def test_page_shows_what_a_file_says_as_text(publisher: Publisher) -> None:
    export = publisher.write(
        "hostile.csv", "id,complimentary_plan,stripe_customer_id,tiers\n<script>alert(1)<,true,,<b>Gold</b>\n"
    )
    page = publisher.folder / "report.html"
    publisher.run("ghost", str(export), "--dry-run", "--html", str(page), status=1)
    assert "<script" not in page.read_text()
    assert "<b>" not in page.read_text()


def test_several_files_are_taken_over_as_one(publisher: Publisher) -> None:
    found = publisher.take_over(
        "stripe", publisher.export("stripe_subscriptions"), publisher.export("stripe_customers"), accept_losses=True
    )
    assert found["rows"] == 17
    assert {Path(one["file"]).name for one in found["differences"]} == {"stripe_subscriptions.csv"}
    assert _audit(publisher.app()) == ["import.apply"]


def test_many_grants_wait_for_a_second_admin(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f'{POLICY}\n[grants]\nconfirm_above = {{ readers = 2, length = "90d" }}\n')
    result = publisher.run("leaky", publisher.export("leaky"), *publisher.config, "--accept-losses")
    assert "waits for a second admin" in result.stdout
    app = publisher.app()
    assert _audit(app) == ["approval.ask"]
    assert _readers_with_access(app) == set()
    approval = result.stdout.split()[-1]
    confirmed = app.call("POST", f"/v1/approvals/{approval}", admin=True).get_json()
    assert confirmed["outcome"]["import"]["grants"] == 7
    app.service.imports.finish_all()
    assert len(_readers_with_access(app)) == 7
    assert _audit(app) == ["approval.ask", "approval.confirm", "import.apply"]


def test_take_over_that_waits_for_a_second_admin_is_requested_once(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f'{POLICY}\n[grants]\nconfirm_above = {{ readers = 2, length = "90d" }}\n')
    arguments = ("leaky", publisher.export("leaky"), *publisher.config, "--accept-losses")
    first, second = [publisher.run(*arguments).stdout.splitlines()[-1] for _ in range(2)]
    approval = first.split()[-1]
    assert second == f"This take-over was requested before. {first}"
    app = publisher.app()
    assert _audit(app) == ["approval.ask"]
    assert app.call("DELETE", f"/v1/approvals/{approval}?reason=no", admin=True).status_code == 200
    third = publisher.run(*arguments).stdout.splitlines()[-1]
    assert "requested before" not in third
    assert approval not in third


def test_plan_that_cannot_be_granted_is_refused(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f'{POLICY}\n[grants]\nplans = ["vip"]\n')
    result = publisher.run("leaky", publisher.export("leaky"), *publisher.config, "--accept-losses", status=1)
    assert "plan supporter" in result.stderr


def test_level_without_a_line_is_named_also_where_another_level_gives_access(publisher: Publisher) -> None:
    body = 'id,complimentary_plan,stripe_customer_id,tiers\nr-1,true,,"Gold supporter,Silver"\n'
    export = publisher.write("two.csv", body)
    text = publisher.run("ghost", str(export), *publisher.config, "--dry-run").stdout
    assert "level “Silver” has no line in takeover.toml: 1 row with access" in text
    assert "Readers: 1 as before" in text
