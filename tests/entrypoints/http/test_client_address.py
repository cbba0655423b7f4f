"""Test the client's address behind proxies: only trusted ones can name it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from service.entrypoints.http.client_address import client_address
from tests.in_process_app import MakeApp

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/64")]

CLIENTS = [
    ("203.0.113.9", "", "203.0.113.9"),
    ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger who connects directly names no one
    ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
    ("10.0.0.1", "192.0.2.1, 198.51.100.1", "198.51.100.1"),  # the client sent the first entry itself
    ("10.0.0.1", "192.0.2.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),  # two proxies
    ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),  # a client inside
    ("10.0.0.1", "", "10.0.0.1"),
    ("10.0.0.1", "unknown", "10.0.0.1"),
    ("10.0.0.1", "192.0.2.1, garbage, 10.0.0.2", "10.0.0.2"),
    ("2001:db8::1", "2001:db8:1::5", "2001:db8:1::5"),
    ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
    ("", "198.51.100.1", ""),
]


@pytest.mark.parametrize(("connected", "forwarded", "client"), CLIENTS)
def test_only_trusted_proxies_name_the_client(connected: str, forwarded: str, client: str) -> None:
    assert client_address(connected, forwarded, PROXIES) == client


@pytest.mark.parametrize(("trusted", "recorded"), [("127.0.0.0/8, ::1", "198.51.100.1"), ("", "127.0.0.1")])
def test_audit_log_has_the_address_behind_a_trusted_proxy(
    make_app: MakeApp, valkey_url: str, trusted: str, recorded: str
) -> None:
    app = make_app(valkey_url, PAYWALL_TRUSTED_PROXIES=trusted)
    grant = {"plan": "vip", "reason": "press", "until": None}
    forwarded = {"X-Forwarded-For": "192.0.2.1, 198.51.100.1"}
    connected = {"REMOTE_ADDR": "127.0.0.1"}
    answer = app.call("POST", "/v1/readers/r/grants", grant, admin=True, headers=forwarded, environ_base=connected)
    assert answer.status_code == 201
    (entry,) = app.call("GET", "/v1/audit", admin=True, query_string={"reader": "r"}).get_json()["items"]
    assert entry["from_ip"] == recorded
