"""Test the environment variables: their meaning, validation, and messages that name the variable and no secret."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings.policy_file import read_folder
from service.settings.settings import NamedKey, Settings, cores, load_settings
from service.settings.validation import SettingsError
from tests.policies import catalogue_of

ROOT = Path(__file__).parents[2]
CONFIG = {"PAYWALL_CONFIG": str(ROOT / "config")}
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"

EVERYTHING = CONFIG | {
    "REDIS_URL": f"redis://paper:{SECRET}@store.example:6379/2",
    "PAYWALL_DATA": "/tmp/nowhere-yet",
    "PAYWALL_SITE_KEYS": f"web:{SECRET}-site, web:{SECRET}:with:colons",
    "PAYWALL_ADMIN_KEYS": f"anna:{SECRET}-admin",
    "PAYWALL_SECRETS": f"{SECRET}-new,{SECRET}-old",
    "PAYWALL_PREFIX": "ledger-staging",
    "STRIPE_API_KEY": f"sk_test_{SECRET}",
    "STRIPE_API_BASE": "http://127.0.0.1:12111/",
    "STRIPE_WEBHOOK_SECRETS": f"whsec_{SECRET}, whsec_{SECRET}-next",
    "PAYWALL_HOST": "0.0.0.0",
    "PAYWALL_PORT": "8080",
    "PAYWALL_WORKERS": "3",
    "PAYWALL_STORE_MEMORY": "2GB",
    "PAYWALL_NEW_VISITORS_PER_MINUTE": "60",
    "PAYWALL_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
    "PAYWALL_OIDC_ISSUER": "https://login.example.news/realms/staff",
    "PAYWALL_OIDC_CLIENT_ID": "paywall",
    "PAYWALL_OIDC_CLIENT_SECRET": f"{SECRET}-of-the-client",
    "PAYWALL_OIDC_ROLES": "desk:granter, chiefs:owner,uk:library:viewer",
    "PAYWALL_OIDC_GROUPS_CLAIM": "roles",
    "PAYWALL_OIDC_NAME_CLAIM": "preferred_username",
    "PAYWALL_OIDC_SCOPES": "email roles",
    "PAYWALL_PUBLIC_URL": "https://paywall.example.news",
}


def mistakes(env: dict[str, str]) -> dict[str, str]:
    """Return the mistakes of these variables, added to a valid configuration, as variable or place → message."""
    with pytest.raises(SettingsError) as caught:
        load_settings(CONFIG | env)
    return {mistake.where: mistake.message for mistake in caught.value.mistakes}


def policy(folder: Path, old: str, new: str) -> dict[str, str]:
    sample = (ROOT / "config" / "paywall.toml").read_text("utf-8")
    assert old in sample
    (folder / "paywall.toml").write_text(sample.replace(old, new), "utf-8")
    return {"PAYWALL_CONFIG": str(folder)}


def test_empty_environment_gives_the_defaults() -> None:
    with contextlib.chdir(ROOT):
        settings = load_settings({})
    assert settings == Settings(
        config=Path("config"),
        data=Path(".paywall"),
        prefix="pw",
        host="127.0.0.1",
        port=8000,
        workers=cores(),
        redis_url=None,
        site_keys=(),
        admin_keys=(),
        secrets=(),
        stripe_api_key=None,
        stripe_api_base=None,
        stripe_webhook_secrets=(),
        catalogue=catalogue_of(read_folder(ROOT / "config")),
    )


def test_every_variable_is_read() -> None:
    settings = load_settings(EVERYTHING)
    assert settings.redis_url == EVERYTHING["REDIS_URL"]
    assert settings.data == Path("/tmp/nowhere-yet")
    assert settings.site_keys == (NamedKey("web", f"{SECRET}-site"), NamedKey("web", f"{SECRET}:with:colons"))
    assert settings.admin_keys == (NamedKey("anna", f"{SECRET}-admin"),)
    assert settings.secrets == (f"{SECRET}-new", f"{SECRET}-old")
    assert settings.prefix == "ledger-staging"
    assert settings.stripe_api_key == f"sk_test_{SECRET}"
    assert settings.stripe_api_base == "http://127.0.0.1:12111"
    assert settings.stripe_webhook_secrets == (f"whsec_{SECRET}", f"whsec_{SECRET}-next")
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8080, 3)
    assert (settings.store_memory, settings.new_visitors_per_minute) == (2 * 2**30, 60)
    assert settings.trusted_proxies == (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"))


def test_blank_variable_counts_as_unset() -> None:
    assert load_settings(dict.fromkeys(EVERYTHING, " \n") | CONFIG) == load_settings(CONFIG)


def test_settings_are_frozen_picklable_and_hide_secrets() -> None:
    settings = load_settings(EVERYTHING)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]  # The test is about this error.
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PAYWALL_CONFIG", "/no/such/folder"),
        ("PAYWALL_DATA", __file__),
        ("PAYWALL_DATA", f"{__file__}/below/it"),
        ("REDIS_URL", f"http://paper:{SECRET}@store.example"),
        ("REDIS_URL", f"redis://paper:{SECRET}@store.example:port"),
        ("REDIS_URL", f"redis://paper:{SECRET}@store.example:6379/sport"),
        ("REDIS_URL", f"redis+sentinel://paper:{SECRET}@store.example"),
        ("PAYWALL_SITE_KEYS", SECRET),
        ("PAYWALL_SITE_KEYS", f":{SECRET}"),
        ("PAYWALL_SITE_KEYS", "web:"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET},"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET} {SECRET}"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET}é"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET}\n{SECRET}"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET},app:{SECRET}"),
        ("PAYWALL_SITE_KEYS", f"web:{SECRET},app:{SECRET[:19]}"),
        ("PAYWALL_ADMIN_KEYS", SECRET),
        ("PAYWALL_ADMIN_KEYS", f"{'é' * 65}:{SECRET}"),
        ("PAYWALL_ADMIN_KEYS", f"anna:{SECRET},ben:{SECRET}"),
        ("PAYWALL_ADMIN_KEYS", f"anna:{SECRET[:19]}"),
        ("PAYWALL_SECRETS", SECRET[:31]),
        ("PAYWALL_SECRETS", f"{SECRET},{SECRET[:31]}"),
        ("PAYWALL_SECRETS", f"{SECRET},,{SECRET}"),
        ("PAYWALL_PREFIX", "{pw}"),
        ("PAYWALL_PREFIX", "the ledger"),
        ("PAYWALL_PREFIX", "pw*"),
        ("PAYWALL_PREFIX", "p" * 33),
        ("STRIPE_API_KEY", f"sk_live_{SECRET}"),
        ("STRIPE_API_KEY", f"rk_live_{SECRET}"),
        ("STRIPE_API_KEY", f"pk_test_{SECRET}"),
        ("STRIPE_API_KEY", f"whsec_{SECRET}"),
        ("STRIPE_API_KEY", f"sk_test_{SECRET} {SECRET}"),
        ("STRIPE_API_BASE", "127.0.0.1:12111"),
        ("STRIPE_API_BASE", "ftp://127.0.0.1:12111"),
        ("STRIPE_API_BASE", f"http://paper:{SECRET}@127.0.0.1"),
        ("STRIPE_API_BASE", "http://127.0.0.1:123456"),
        ("STRIPE_WEBHOOK_SECRETS", f"whsec_{SECRET}, "),
        ("STRIPE_WEBHOOK_SECRETS", f"whsec_{SECRET} whsec_{SECRET}"),
        ("STRIPE_WEBHOOK_SECRETS", f"whsec_{SECRET},whsec_{SECRET[:13]}"),
        ("PAYWALL_HOST", "http://127.0.0.1"),
        ("PAYWALL_HOST", "127.0.0.1:8000"),
        ("PAYWALL_HOST", "127.0.0.256"),
        ("PAYWALL_HOST", "[::1]"),
        ("PAYWALL_HOST", "fe80::1%eth0"),
        ("PAYWALL_PORT", "0"),
        ("PAYWALL_PORT", "65536"),
        ("PAYWALL_PORT", "-1"),
        ("PAYWALL_PORT", "80.0"),
        ("PAYWALL_PORT", "1_000"),
        ("PAYWALL_PORT", "٨٠"),
        ("PAYWALL_PORT", "9" * 5_000),
        ("PAYWALL_WORKERS", "0"),
        ("PAYWALL_WORKERS", "257"),
        ("PAYWALL_WORKERS", "two"),
        ("PAYWALL_TRUSTED_PROXIES", "proxy.example.news"),
        ("PAYWALL_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PAYWALL_TRUSTED_PROXIES", "127.0.0.1,"),
        ("PAYWALL_STORE_MEMORY", "15mb"),
        ("PAYWALL_STORE_MEMORY", "512"),
        ("PAYWALL_STORE_MEMORY", "1.5gb"),
        ("PAYWALL_STORE_MEMORY", "٣gb"),
        ("PAYWALL_NEW_VISITORS_PER_MINUTE", "0"),
        ("PAYWALL_NEW_VISITORS_PER_MINUTE", "many"),
    ],
)
def test_invalid_value_names_its_variable_and_no_secret(variable: str, value: str) -> None:
    (where, message), *others = mistakes({variable: value}).items()
    assert variable in f"{where}: {message}"
    assert others == []
    assert SECRET[:7] not in message


def test_shortest_allowed_keys_and_secrets_are_accepted() -> None:
    settings = load_settings(
        CONFIG
        | {
            "PAYWALL_SITE_KEYS": f"web:{SECRET[:20]}",
            "PAYWALL_ADMIN_KEYS": f"anna:{SECRET[-20:]}",
            "PAYWALL_SECRETS": SECRET[:32],
            "STRIPE_WEBHOOK_SECRETS": SECRET[:20],
        }
    )
    assert settings.secrets == (SECRET[:32],)


@pytest.mark.parametrize("host", ["localhost", "paywall", "a-b.example", "::1", "::", "10.0.0.1", "Paywall_1"])
def test_host_can_be_a_name_or_an_address(host: str) -> None:
    assert load_settings(CONFIG | {"PAYWALL_HOST": host}).host == host


def test_same_secret_for_website_and_admin_is_rejected() -> None:
    env = {"PAYWALL_SITE_KEYS": f"web:{SECRET}", "PAYWALL_ADMIN_KEYS": f"web:{SECRET}"}
    assert list(mistakes(env)) == ["PAYWALL_ADMIN_KEYS"]


def test_duplicate_key_pair_or_secret_counts_once() -> None:
    pairs, secrets = f"web:{SECRET},web:{SECRET}", f"{SECRET},{SECRET}"
    settings = load_settings(CONFIG | {"PAYWALL_SITE_KEYS": pairs, "PAYWALL_SECRETS": secrets})
    assert settings.site_keys == (NamedKey("web", SECRET),)
    assert settings.secrets == (SECRET,)


@pytest.mark.parametrize("key", ["sk_test_", "rk_test_"])
def test_stripe_test_key_with_livemode_is_rejected(tmp_path: Path, key: str) -> None:
    env = policy(tmp_path, "livemode = false", "livemode = true")
    assert list(mistakes(env | {"STRIPE_API_KEY": key + SECRET})) == ["STRIPE_API_KEY"]
    assert load_settings(env | {"STRIPE_API_KEY": f"sk_live_{SECRET}"}).catalogue.livemode
    assert load_settings(env | {"STRIPE_API_KEY": f"a-stand-in-{SECRET}"}).catalogue.livemode


def test_mistakes_of_environment_and_policy_file_are_listed_together(tmp_path: Path) -> None:
    env = policy(tmp_path, 'meter = "stories"', 'meter = "storys"')
    env |= {"PAYWALL_PORT": "0", "PAYWALL_WORKERS": "0", "STRIPE_API_KEY": f"sk_live_{SECRET}"}
    places = ["PAYWALL_PORT", "PAYWALL_WORKERS", "STRIPE_API_KEY", "paywall.toml: tiers.metered.meter"]
    assert sorted(mistakes(env)) == places


def test_livemode_of_unreadable_policy_file_is_not_guessed(tmp_path: Path) -> None:
    env = {"PAYWALL_CONFIG": str(tmp_path), "STRIPE_API_KEY": f"sk_live_{SECRET}"}
    assert list(mistakes(env)) == ["paywall.toml"]


def test_invalid_config_folder_is_not_replaced_by_the_default() -> None:
    with contextlib.chdir(ROOT):
        found = mistakes({"PAYWALL_CONFIG": "config/paywall.toml"})
    assert "name the folder" in found["paywall.toml"]


def test_settings_error_has_one_line_per_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(CONFIG | {"PAYWALL_PORT": "x", "PAYWALL_PREFIX": "{"})
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["PAYWALL_PREFIX", "PAYWALL_PORT"]


VALUES = st.text(st.characters(blacklist_characters="\0")) | st.text("abc:,. {}@/-019").map(lambda text: text[:40])


@given(st.dictionaries(st.sampled_from([name for name in EVERYTHING if name != "PAYWALL_CONFIG"]), VALUES))
def test_random_environment_raises_only_settings_error(env: dict[str, str]) -> None:
    try:
        settings = load_settings(CONFIG | env)
    except SettingsError as error:
        lines = str(error).splitlines()
    else:
        lines = []
        assert 1 <= settings.port <= 65_535
    assert all(line.partition(":")[0] in env and line.isprintable() for line in lines)


def test_every_variable_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text("utf-8")
    assert [name for name in EVERYTHING if f"| `{name}` |" not in text] == []
