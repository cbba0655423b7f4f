"""Test the store URL: five schemes, and no part of a bad URL in the error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.redis.client.address import Address, parse_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("single", (("localhost", 6379),))),
        ("redis://store.internal:7000/3", Address("single", (("store.internal", 7000),), db=3)),
        ("redis://store:7000/?db=4", Address("single", (("store", 7000),), db=4)),
        ("redis://[::1]:6380/0", Address("single", (("::1", 6380),))),
        ("redis://[fe80::1%eth0]", Address("single", (("fe80::1%eth0", 6379),))),
        ("REDIS://store", Address("single", (("store", 6379),))),
        ("redis://:p%40ss%2F%3A@h", Address("single", (("h", 6379),), password="p@ss/:")),
        ("redis://us%3Aer:pa:ss@h", Address("single", (("h", 6379),), username="us:er", password="pa:ss")),
        ("redis://u:p#@h", Address("single", (("h", 6379),), username="u", password="p#")),
        ("redis://u:@h", Address("single", (("h", 6379),), username="u", password="")),
        ("unix:///run/store.sock", Address("unix", path="/run/store.sock")),
        ("unix:///run/my%20store?db=2", Address("unix", path="/run/my store", db=2)),
        ("unix://u:p@/run/s", Address("unix", path="/run/s", username="u", password="p")),
        ("unix:///run/s?password=p%26q", Address("unix", path="/run/s", password="p&q")),
        ("rediss://h:6380", Address("single", (("h", 6380),), tls={})),
        (
            "rediss://h?ssl_cert_reqs=required&ssl_check_hostname=True",
            Address("single", (("h", 6379),), tls={}),
        ),
        (
            "redis+sentinel://u:p@a,b:26380,[::2]:1/main/5",
            Address(
                "sentinel",
                (("a", 26379), ("b", 26380), ("::2", 1)),
                service="main",
                db=5,
                username="u",
                password="p",
            ),
        ),
        ("redis+sentinel://a/my%2Fmaster", Address("sentinel", (("a", 26379),), service="my/master")),
        ("redis+cluster://:p@a:7000,b:7001", Address("cluster", (("a", 7000), ("b", 7001)), password="p")),
        ("redis+cluster://a/0", Address("cluster", (("a", 6379),))),
        ("rediss+cluster://a", Address("cluster", (("a", 6379),), tls={})),
    ],
)
def test_every_scheme_of_the_contract_is_parsed(url: str, address: Address) -> None:
    assert parse_address(url) == address


def test_tls_options_have_the_names_of_redis_py(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    address = parse_address(f"rediss://h?ssl_ca_certs={ca}&ssl_certfile={ca}&ssl_keyfile={ca}&ssl_password=s%20s")
    files = {"ssl_ca_certs": str(ca), "ssl_certfile": str(ca), "ssl_keyfile": str(ca)}
    assert address.tls == files | {"ssl_password": "s s"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "known schemes"),
        ("localhost:6379", "known schemes"),
        ("http://h", "known schemes"),
        ("valkey://h", "known schemes"),
        ("redis://", "no host"),
        ("redis://:6379", "bad host"),
        ("redis:///0", "no host"),
        ("redis://a b", "bad host"),
        ("redis://a,b", "several hosts"),
        ("redis://::1:6379", "bad host"),
        ("redis://[::1", "IPv6"),
        ("redis://[::1]x", "IPv6"),
        ("redis://[nonsense]", "IPv6"),
        ("redis://h:0", "port"),
        ("redis://h:65536", "port"),
        ("redis://h:", "port"),
        ("redis://h:٣", "port"),
        ("redis://h:-1", "port"),
        ("redis://h/x", "database"),
        ("redis://h/-1", "database"),
        ("redis://h/1?db=2", "twice"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://u@h", "without a password"),
        ("redis://h?username=u", "without a password"),
        ("redis://u:%ff@h", "UTF-8"),
        ("redis://h?protocol=3", "not known"),
        ("redis://h?ssl_ca_certs=/x", "rediss://"),
        ("rediss://h?ssl_cert_reqs=none", "always verified"),
        ("rediss://h?ssl_check_hostname=false", "always verified"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "names no file"),
        ("rediss://h?ssl_ca_path=/no/such/folder", "names no folder"),
        ("unix://run/s", "full path"),
        ("unix:///", "full path"),
        ("unix://", "full path"),
        ("unix:///run/%00", "none can have"),
        ("unix:///" + "x" * 108, "none can have"),
        ("redis+sentinel://a", "no service"),
        ("redis+sentinel://a/", "no service"),
        ("redis+cluster://a/1", "only number 0"),
        ("redis+cluster://a,,b", "bad host"),
    ],
)
def test_invalid_store_url_is_rejected_with_the_mistake(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_address(url)


@given(
    password=st.text("sEcReT/@:?#[],%&= ", min_size=6),
    scheme=st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "redis+cluster"]),
    rest=st.sampled_from(["h", "h:1", "h/1", "h:x", "/run/s", ""]),
)
def test_password_is_in_no_error_and_no_repr(password: str, scheme: str, rest: str) -> None:
    """Passwords may contain unescaped characters that end the password early."""
    secret = f"Q{password}Q"
    url = f"{scheme}://user:{secret}@{rest}"
    assert "Q" not in _complaint(url)
    if not _complaint(url):
        assert secret not in f"{parse_address(url)} {parse_address(url)!r}"


def _complaint(url: str) -> str:
    try:
        parse_address(url)
    except ValueError as error:
        return str(error)
    return ""


def test_address_as_text_omits_its_password() -> None:
    assert str(parse_address("redis://u:p@h/1")) == "redis://h:6379/1"
    assert str(parse_address("redis+sentinel://:p@a,[::1]/main/2")) == "redis+sentinel://a:26379,[::1]:26379/main/2"
    assert str(parse_address("unix://:p@/run/s?db=1")) == "unix:///run/s?db=1"
    assert str(parse_address("rediss+cluster://:p@a")) == "rediss+cluster://a:6379"
