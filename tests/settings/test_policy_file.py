"""Test `paywall.toml`: its meaning, its validation, and the place of every mistake."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue import DAY, HOUR, CheckoutPolicy, GrantPolicy, Provider, Rule
from service.settings.policy_file import read_folder
from service.settings.validation import SettingsError
from tests.policies import parse_catalogue

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "config" / "paywall.toml").read_text("utf-8")

WHOLE = Path(__file__).with_name("whole.toml").read_text("utf-8")


def mistakes(text: str) -> dict[str, str]:
    """Return the mistakes as place → message."""
    with pytest.raises(SettingsError) as caught:
        parse_catalogue(text)
    return {mistake.where: mistake.message for mistake in caught.value.mistakes}


def refused(old: str, new: str, where: str) -> str:
    """Return the message at `where` after replacing `old` by `new` in the sample; there must be no other mistake."""
    assert old in WHOLE
    found = mistakes(WHOLE.replace(old, new, 1))
    assert list(found) == [f"paywall.toml: {where}"]
    return found[f"paywall.toml: {where}"]


def test_sample_policy_means_what_the_contract_says() -> None:
    catalogue = parse_catalogue(SAMPLE)
    assert catalogue.site_name == "The Daily Ledger"
    assert catalogue.zone == ZoneInfo("America/New_York")
    assert catalogue.origins == ("https://www.example.news",)
    assert list(catalogue.features) == ["notebook", "no_ads", "no_autoplay", "newsmaker_events"]
    assert list(catalogue.plans) == ["supporter", "day_pass", "newsroom", "vip"]
    assert catalogue.plans["supporter"].prices == ("price_month", "price_year")
    assert catalogue.plans["day_pass"].pass_hours == 24
    assert catalogue.plans["newsroom"].seats
    assert catalogue.plans["vip"].prices == ()
    assert catalogue.tiers["free"].requires == ()
    assert catalogue.tiers["metered"].meter == "stories"
    assert catalogue.rules == (Rule("free", sections=("public-safety",)), Rule("supporters", older_than=30 * DAY))
    assert catalogue.default_tier == "metered"
    meter = catalogue.meters["stories"]
    assert (meter.visitors, meter.readers, meter.window, meter.length) == (2, 5, "month", 0)
    assert catalogue.offers["notebook"].links == (("The Spotlight", "/spotlight"),)
    assert (catalogue.livemode, catalogue.leeway) == (False, 48 * HOUR)
    assert (catalogue.failure.readers, catalogue.failure.visitors, catalogue.failure.known_for) == (
        "full",
        "upsell",
        DAY,
    )
    assert catalogue.grants == GrantPolicy()


def test_sample_policy_is_the_one_in_the_contract() -> None:
    contract = Path(os.environ.get("PAYWALL_SHARED") or ROOT.parent / "shared") / "contract.md"
    if not contract.exists():
        pytest.skip("the contract is not beside this checkout: set PAYWALL_SHARED to compare with it")
    block = contract.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    assert parse_catalogue(block) == parse_catalogue(SAMPLE)


def test_commented_parts_of_the_sample_policy_are_valid() -> None:
    head, _, tail = SAMPLE.partition("# [grants]")
    tail = tail.replace("\n# Optional", "\n## Optional").replace("\n# ", "\n")
    catalogue = parse_catalogue(head + "[grants]" + tail)
    assert catalogue.grants == GrantPolicy(("vip",), 400 * DAY, 100, 90 * DAY)
    assert catalogue.checkout == CheckoutPolicy(True, True, True, "required", "auto")


def test_all_policy_mistakes_are_listed_with_their_places() -> None:
    text = WHOLE.replace('name = "Supporter"', "nmae = 3").replace('["notebook", "no_ads"]', '["notebok", 7]')
    text = text.replace('"price_day"', '"price_day", "price_month"').replace("[defaults]", "[default]")
    assert mistakes(text) == {
        "paywall.toml: plans.supporter.name": 'is missing: add name = "Supporter"',
        "paywall.toml: plans.supporter.nmae": 'is not a known key: did you mean "name"?',
        "paywall.toml: plans.newsroom.features.0": 'there is no "notebok" in [features]: did you mean "notebook"?',
        "paywall.toml: plans.newsroom.features.1": "must be a text in quotes, and is a whole number",
        "paywall.toml: plans.day_pass.prices.1": (
            '"price_month" is sold by plans.supporter already: one plan only may have it'
        ),
        "paywall.toml: defaults": "is missing: add a [defaults] table",
        "paywall.toml: default": 'is not a known key: did you mean "defaults"?',
    }


def test_mistakes_of_one_list_and_one_table_are_listed_at_once() -> None:
    text = WHOLE.replace("pass_hours = 24", "pass_hours = 24\nseats = true\ngrace_days = -1")
    text = text.replace('["price_day"]', '["price_day", "price_day", 7]')
    text = text.replace("[tiers.free]", '[tiers.free]\nmeter = "stories"\nopen_parts = [7]')
    text = text.replace("[tiers.metered]", '[tiers.metered]\nsign_in = "any"\nofer = "notebook"')
    text = text.replace('older_than = "30d"', 'older_than = "30d"\nnewer_than = "3d"\ntags = []')
    assert set(mistakes(text)) == {
        "paywall.toml: plans.day_pass.pass_hours",
        "paywall.toml: plans.day_pass.grace_days",
        "paywall.toml: plans.day_pass.prices.1",
        "paywall.toml: plans.day_pass.prices.2",
        "paywall.toml: tiers.free.meter",
        "paywall.toml: tiers.free.open_parts.0",
        "paywall.toml: tiers.metered.sign_in",
        "paywall.toml: tiers.metered.ofer",
        "paywall.toml: rules.1.older_than",
        "paywall.toml: rules.1.tags",
    }


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('origins = ["https://www.example.news"]', 'origins = ["https://www.example.news/"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://www.example.news/path"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://WWW.example.news"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://www.example.news:443"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://me:pw@www.example.news"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://www.example.news:99999"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://zeitung-für-alle.de"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["https://*.example.news"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["www.example.news"]', "site.origins.0"),
        ('origins = ["https://www.example.news"]', 'origins = ["null"]', "site.origins.0"),
        ("[site]", '[site]\nstory_url = "https://www.example.news/"', "site.story_url"),
        ("[site]", '[site]\nstory_url = "/story/{story}"', "site.story_url"),
        ("[site]", '[site]\nstory_url = "https://www.example.news/{story}/{story}"', "site.story_url"),
        ("[site]", '[site]\nstory_url = "https://www.example.news/#{story}"', "site.story_url"),
        ("[site]", '[site]\nstory_url = "https://www.example.news/{id}/{story}"', "site.story_url"),
        ("America/New_York", "America/New York", "site.timezone"),
        ("America/New_York", "America", "site.timezone"),
        ("America/New_York", "../../etc/passwd", "site.timezone"),
        ('name = "The Daily Ledger"', 'name = "  "', "site.name"),
        ('name = "The Daily Ledger"', 'name = "The Daily\\nLedger"', "site.name"),
        ("grace_days = 14", "grace_days = -1", "plans.supporter.grace_days"),
        ("grace_days = 14", 'grace_days = "14"', "plans.supporter.grace_days"),
        ("grace_days = 14", "grace_days = true", "plans.supporter.grace_days"),
        ("gifts_per_month = 3", "gifts_per_month = -1", "plans.supporter.gifts_per_month"),
        ("gifts_per_month = 3", "trial_days = 0", "plans.supporter.trial_days"),
        ("gifts_per_month = 3", "trial_days = 731", "plans.supporter.trial_days"),
        ("gifts_per_month = 3", "trial_days = true", "plans.supporter.trial_days"),
        ("[stripe]", "[checkout]\nautomatic_tax = 1\n[stripe]", "checkout.automatic_tax"),
        ("[stripe]", '[checkout]\ntax_id_collection = "true"\n[stripe]', "checkout.tax_id_collection"),
        ("[stripe]", "[checkout]\nallow_promotion_codes = 0\n[stripe]", "checkout.allow_promotion_codes"),
        (
            "[stripe]",
            '[checkout]\nbilling_address_collection = "never"\n[stripe]',
            "checkout.billing_address_collection",
        ),
        ("[stripe]", '[checkout]\nlocale = "en-US"\n[stripe]', "checkout.locale"),
        ("[stripe]", "[checkout]\ncurrency = 7\n[stripe]", "checkout.currency"),
        ("pass_hours = 24", "pass_hours = 0", "plans.day_pass.pass_hours"),
        ("pass_hours = 24", "pass_hours = 24\nseats = true", "plans.day_pass.pass_hours"),
        ("seats = true", "seats = 1", "plans.newsroom.seats"),
        ('prices = ["price_day"]', 'prices = ["price_day", "price_day"]', "plans.day_pass.prices.1"),
        ('prices = ["price_day"]', 'products = ["prod_supporter"]', "plans.day_pass.products.0"),
        ('prices = ["price_day"]', 'prices = ["prod_day"]', "plans.day_pass.prices.0"),
        ('products = ["prod_supporter"]', 'products = ["price_x"]', "plans.supporter.products.0"),
        ('open_parts = ["facts"]', 'open_parts = ["facts "]', "tiers.metered.open_parts.0"),
        ('open_parts = ["facts"]', 'open_parts = ["fa\\u202ects"]', "tiers.metered.open_parts.0"),
        ('sections = ["public-safety"]', "sections = []", "rules.0.sections"),
        ('sections = ["public-safety"]', f'sections = ["{"é" * 65}"]', "rules.0.sections.0"),
        ('older_than = "30d"', 'older_than = "720h"', "rules.1.older_than"),
        ('older_than = "30d"', 'older_than = "0d"', "rules.1.older_than"),
        ('older_than = "30d"', 'older_than = "30d"\nnewer_than = "30d"', "rules.1.older_than"),
        ('tier = "supporters"', 'tier = "suporters"', "rules.1.tier"),
        ('tier = "metered"', 'tier = "Metered"', "defaults.tier"),
        ("visitors = 2", "visitors = -1", "meters.stories.visitors"),
        ("visitors = 2", "visitors = 2.0", "meters.stories.visitors"),
        ('window = "month"', 'window = "year"', "meters.stories.window"),
        ('window = "month"', 'window = "0d"', "meters.stories.window"),
        ('window = "month"', 'window = "36h"', "meters.stories.window"),
        ('meter = "stories"', 'meter = "storys"', "tiers.metered.meter"),
        ("[tiers.free]", '[tiers.free]\nmeter = "stories"', "tiers.free.meter"),
        ('plans = ["supporter", "day_pass"]', "plans = []", "offers.notebook.plans"),
        ("pass_hours = 24", "pass_hours = 24\nmeters = { storys = 8 }", "plans.day_pass.meters.storys"),
        ("pass_hours = 24", "pass_hours = 24\nmeters = { stories = 0 }", "plans.day_pass.meters.stories"),
        ("pass_hours = 24", "pass_hours = 24\nmeters = { stories = -1 }", "plans.day_pass.meters.stories"),
        ("pass_hours = 24", "pass_hours = 24\nmeters = { stories = 8.0 }", "plans.day_pass.meters.stories"),
        ("pass_hours = 24", 'pass_hours = 24\nmeters = { stories = "8" }', "plans.day_pass.meters.stories"),
        ("pass_hours = 24", "pass_hours = 24\nmeters = { stories = true }", "plans.day_pass.meters.stories"),
        ("pass_hours = 24", 'pass_hours = 24\nmeters = ["stories"]', "plans.day_pass.meters"),
        ("[tiers.free]", '[tiers.free]\nsign_in = "everyone"', "tiers.free.sign_in"),
        ("[tiers.free]", "[tiers.free]\nsign_in = true", "tiers.free.sign_in"),
        ('requires = ["notebook"]', 'requires = ["notebook"]\nsign_in = "any"', "tiers.metered.sign_in"),
        ("[tiers.free]", '[tiers.free]\noffer = "notebok"', "tiers.free.offer"),
        ("[tiers.free]", "[tiers.free]\noffer = 1", "tiers.free.offer"),
        ("[tiers.free]", '[tiers.free]\nsign_in_offer = "regster"', "tiers.free.sign_in_offer"),
        ('plans = ["supporter", "day_pass"]', "", "offers.notebook.plans"),
        ('plans = ["supporter", "day_pass"]', 'plans = ["suporter"]', "offers.notebook.plans.0"),
        ('benefits = ["no_ads",', 'benefits = ["ads",', "offers.notebook.benefits.0"),
        ('url = "/spotlight"', 'url = "javascript:alert(1)"', "offers.notebook.links.0.url"),
        ('url = "/spotlight"', 'url = "//elsewhere.example"', "offers.notebook.links.0.url"),
        ('url = "/spotlight"', 'url = "/\\\\elsewhere.example"', "offers.notebook.links.0.url"),
        ('url = "/spotlight"', 'url = "spotlight"', "offers.notebook.links.0.url"),
        ('readers = "full"', 'readers = "open"', "failure.readers"),
        ('known_for = "24h"', 'known_for = "1w"', "failure.known_for"),
        ('known_for = "24h"', "known_for = 24", "failure.known_for"),
        ('plans = ["vip"]', 'plans = ["vips"]', "grants.plans.0"),
        ('longest = "400d"', 'longest = "400"', "grants.longest"),
        ('longest = "400d"', 'longest = "99999d"', "grants.longest"),
        ('{ readers = 100, length = "90d" }', "{}", "grants.confirm_above"),
        ('{ readers = 100, length = "90d" }', '{ reader = 100, length = "90d" }', "grants.confirm_above.reader"),
        ("leeway_hours = 48", "leeway_hours = -1", "stripe.leeway_hours"),
        ("leeway_hours = 48", "reader_metadata = []", "stripe.reader_metadata"),
        ("leeway_hours = 48", 'reader_metadata = ["gift"]', "stripe.reader_metadata.0"),
        ("leeway_hours = 48", 'reader_metadata = ["user_id", "price_id"]', "stripe.reader_metadata.1"),
        ("livemode = false", 'livemode = "false"', "stripe.livemode"),
        ("[offers.notebook]", '[offers."a b"]', 'offers."a b"'),
        ("[stripe]", "[striped]", "striped"),
    ],
)
def test_policy_mistake_is_rejected_at_its_place(old: str, new: str, where: str) -> None:
    message = refused(old, new, where)
    assert message
    assert "pw@" not in message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('window = "month"', 'window = "30d"'),
        ('known_for = "24h"', 'known_for = "90s"'),
        ('known_for = "24h"', 'known_for = "0s"'),
        ('origins = ["https://www.example.news"]', 'origins = ["http://127.0.0.1:8080", "http://[::1]:3000"]'),
        ('prices = ["price_day"]', 'prices = ["Day pass 2026"]'),
        ('url = "/spotlight"', 'url = "https://www.example.news/spotlight?a=b#c"'),
        ('sections = ["public-safety"]', f'sections = ["{"é" * 64}"]'),
        ("visitors = 2", "visitors = 0"),
        ("[tiers.free]", "[tiers.free]\nrequires = []"),
        ("America/New_York", "UTC"),
    ],
)
def test_unusual_but_valid_values_are_accepted(old: str, new: str) -> None:
    assert old in WHOLE
    parse_catalogue(WHOLE.replace(old, new, 1))


def test_origin_mistake_suggests_the_right_form() -> None:
    message = refused("https://www.example.news", "https://WWW.example.news:443/paper?x=1", "site.origins.0")
    assert 'write "https://www.example.news"' in message


CLOSED = WHOLE.replace("[features]", '[features]\narchive = "The archive"')


def test_tier_that_nothing_can_open_is_rejected() -> None:
    closed = '[tiers.old]\nrequires = ["archive"]\n'
    found = mistakes(CLOSED.replace("[tiers.free]", closed + "[tiers.free]"))
    assert list(found) == ["paywall.toml: tiers.old"]
    no_reads = '[meters.none]\nvisitors = 0\nreaders = 0\nwindow = "day"\n'
    found = mistakes(CLOSED.replace("[tiers.free]", closed + 'meter = "none"\n' + no_reads + "[tiers.free]"))
    assert list(found) == ["paywall.toml: tiers.old"]


@pytest.mark.parametrize(
    "opener",
    [
        '[tiers.old]\nrequires = ["archive", "notebook"]\n',
        '[tiers.old]\nrequires = ["archive"]\nmeter = "stories"\n',
        '[tiers.old]\nrequires = ["archive"]\n[plans.friends]\nname = "Friends"\nfeatures = ["archive"]\n',
    ],
    ids=["another feature", "a meter", "a plan that only admins grant"],
)
def test_tier_that_something_can_open_is_accepted(opener: str) -> None:
    assert "old" in parse_catalogue(CLOSED.replace("[tiers.free]", opener + "[tiers.free]")).tiers


def test_plan_needs_features_or_limits_of_meters() -> None:
    only_meters = WHOLE.replace('features = ["notebook"]\n', "features = []\nmeters = { stories = 8 }\n", 1)
    for text in (only_meters, only_meters.replace("features = []\n", "", 1)):
        plan = parse_catalogue(text).plans["day_pass"]
        assert (plan.features, plan.meters) == ((), (("stories", 8),))
    neither = {"features = []\n": "must name at least one", "": "is missing: add features"}
    for text, message in neither.items():
        found = mistakes(WHOLE.replace('features = ["notebook"]\n', f"{text}meters = {{}}\n", 1))
        assert list(found) == ["paywall.toml: plans.day_pass.features"]
        assert found["paywall.toml: plans.day_pass.features"].startswith(message)


def test_tier_that_only_a_plans_limit_opens_is_accepted() -> None:
    tier = '[tiers.old]\nrequires = ["archive"]\nmeter = "none"\n'
    meter = '[meters.none]\nvisitors = 0\nreaders = 0\nwindow = "day"\n'
    text = CLOSED.replace("[tiers.free]", tier + meter + "[tiers.free]")
    assert list(mistakes(text)) == ["paywall.toml: tiers.old"]
    assert "old" in parse_catalogue(text.replace("pass_hours = 24", "pass_hours = 24\nmeters = { none = 4 }")).tiers


FREE_ACCOUNT = """[offers.register]
heading = "Read this with a free account"
benefits = []
button = "Create an account"
plans = []
"""


@pytest.mark.parametrize("plans", ["", "plans = []\n"], ids=["left out", "empty"])
def test_offer_that_is_only_a_sign_in_offer_needs_no_plans(plans: str) -> None:
    tier = '[tiers.members]\nsign_in = "any"\nsign_in_offer = "register"\noffer = "notebook"\n'
    catalogue = parse_catalogue(WHOLE + tier + FREE_ACCOUNT.replace("plans = []\n", plans))
    assert catalogue.tiers["members"].sign_in == "any"
    assert catalogue.offers["register"].plans == ()


@pytest.mark.parametrize(
    "tier",
    [
        '[tiers.members]\nsign_in = "any"\n',
        '[tiers.members]\nsign_in = "any"\noffer = "register"\nsign_in_offer = "register"\n',
        '[tiers.members]\nsign_in = "any"\nsign_in_offer = "register"\n[tiers.sold]\nrequires = ["register"]\n',
    ],
    ids=["used nowhere", "also the offer of a tier", "also named after a required feature"],
)
def test_offer_without_plans_that_is_shown_otherwise_is_rejected(tier: str) -> None:
    text = WHOLE.replace("[features]", '[features]\nregister = "An account"').replace(
        'features = ["notebook"]', 'features = ["notebook", "register"]'
    )
    assert list(mistakes(text + tier + FREE_ACCOUNT)) == ["paywall.toml: offers.register.plans"]


def test_first_offer_that_has_plans_is_the_fallback() -> None:
    tier = '[tiers.members]\nsign_in = "any"\nsign_in_offer = "register"\n'
    catalogue = parse_catalogue((WHOLE + tier).replace("[offers.notebook]", FREE_ACCOUNT + "[offers.notebook]"))
    assert list(catalogue.offers) == ["register", "notebook"]
    offer = catalogue.offer_for(catalogue.tiers["members"])
    assert offer is not None
    assert offer.id == "notebook"


def test_price_of_one_plan_within_the_product_of_another_is_accepted() -> None:
    catalogue = parse_catalogue(WHOLE)
    plan = catalogue.plan_for("price_day", None, "prod_supporter")
    assert plan is not None
    assert plan.id == "day_pass"


def test_providers_are_read_and_leave_the_revision_as_it_is() -> None:
    found = parse_catalogue(WHOLE + '[providers.app-store]\nname = "App Store"\n')
    assert found.providers["print"] == Provider("print", "Print subscription", 0.1, 26 * HOUR)
    assert found.providers["app-store"] == Provider("app-store", "App Store", 0.2, None)
    assert found.revision == parse_catalogue(WHOLE).revision


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("[providers.print]", "[providers]\nprint = 7\n[providers.other]", "providers.print"),
        ("[providers.print]", '[providers."app store"]', 'providers."app store"'),
        ('name = "Print subscription"', "", "providers.print.name"),
        ("largest_drop = 0.1", "largest_drop = 1.1", "providers.print.largest_drop"),
        ("largest_drop = 0.1", "largest_drop = -0.1", "providers.print.largest_drop"),
        ("largest_drop = 0.1", "largest_drop = nan", "providers.print.largest_drop"),
        ("largest_drop = 0.1", "largest_drop = true", "providers.print.largest_drop"),
        ("largest_drop = 0.1", 'largest_drop = "0.1"', "providers.print.largest_drop"),
        ("largest_drop = 0.1", "smallest_drop = 0.1", "providers.print.smallest_drop"),
        ('expected_every = "26h"', "expected_every = 26", "providers.print.expected_every"),
        ('expected_every = "26h"', 'expected_every = "30s"', "providers.print.expected_every"),
    ],
)
def test_mistake_in_a_provider_is_named(old: str, new: str, where: str) -> None:
    refused(old, new, where)


@pytest.mark.parametrize("table", ["features", "plans", "tiers"])
def test_empty_table_is_rejected(table: str) -> None:
    found = mistakes(f"[{table}]")
    assert found[f"paywall.toml: {table}"] == "is empty: name at least one"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = \n", 1, 5),
        ("[site]\nname = 'x", 2, 10),
        ("[site]\n\n[site]\n", 3, 6),
        ("a = [1,", 1, 8),
        ("a=1\na=2", 2, 4),
    ],
)
def test_syntax_error_names_line_and_column(text: str, line: int, column: int) -> None:
    assert f"line {line}, column {column}" in mistakes(text)["paywall.toml"]


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "a = " + "9" * 5_000])
def test_text_the_toml_parser_cannot_handle_gives_a_readable_message(text: str) -> None:
    assert mistakes(text)["paywall.toml"].startswith("is not a policy: ")


def test_unreadable_policy_file_gives_a_readable_message(tmp_path: Path) -> None:
    file = tmp_path / "paywall.toml"

    def said(folder: Path = tmp_path) -> str:
        (mistake,) = read_folder(folder).mistakes
        assert mistake.where == "paywall.toml"
        return mistake.message

    assert "there is no such file" in said()
    assert "there is no folder" in said(tmp_path / "nowhere")
    assert "PAYWALL_CONFIG" in said(tmp_path / "nowhere")
    file.mkdir()
    assert "is a folder" in said()
    file.rmdir()
    os.mkfifo(file)
    assert "ordinary file" in said()
    file.unlink()
    file.write_bytes(b"[site]\nname = 'Zeitung f\xfcr alle'\n")
    assert said() == "line 2 is not UTF-8: save the file in UTF-8"
    file.write_bytes(b"#" * 2_000_000)
    assert "at most 1 MiB" in said()
    assert "is a file" in said(file)


@given(st.binary())
def test_random_file_raises_only_settings_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "paywall.toml").write_bytes(content)
    assert read_folder(folder).mistakes


def test_policy_file_with_byte_order_mark_and_crlf_loads(tmp_path: Path) -> None:
    (tmp_path / "paywall.toml").write_bytes(b"\xef\xbb\xbf" + SAMPLE.replace("\n", "\r\n").encode())
    assert read_folder(tmp_path).catalogue == parse_catalogue(SAMPLE)


SMALL = """
site = { name = "Små nyheter", timezone = "Europe/Stockholm", origins = ["https://sma.example"] }
features.all = "Everything"
plans.all = { name = "All", features = ["all"] }
tiers.closed.requires = ["all"]
defaults.tier = "closed"
"""


def test_revision_is_the_same_on_every_machine() -> None:
    assert parse_catalogue(SMALL).revision == "b76b54992230"


def test_revision_ignores_what_checkout_asks_for() -> None:
    trial = SMALL.replace('["all"] }', '["all"], trial_days = 14 }', 1)
    assert parse_catalogue(trial).plans["all"].trial_days == 14
    assert parse_catalogue(trial + "checkout.automatic_tax = true\n").revision == parse_catalogue(SMALL).revision
