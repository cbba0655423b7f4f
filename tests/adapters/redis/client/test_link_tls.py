"""Test TLS to the store: only a certificate of a known authority for the requested host is trusted."""

from __future__ import annotations

import ipaddress
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509

from service.adapters.redis.client.scripts import Script, ScriptCall
from service.domain.errors import StoreUnavailable
from tests.certificate_authority import Authority


def _speaks_tls(binary: str) -> bool:
    """Return whether the server supports TLS. One that does complains about the missing certificate."""
    command = [binary, "--port", "0", "--tls-port", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "Failed to configure TLS" in said.stdout + said.stderr


def _binary_with_tls() -> str | None:
    found = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    return next((binary for binary in found if binary and _speaks_tls(binary)), None)


BINARY = _binary_with_tls()
pytestmark = pytest.mark.skipif(BINARY is None, reason="no redis-server or valkey-server with TLS on the PATH")


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "press-room")


def serve(launch: Any, authority: Authority, *names: x509.GeneralName, clients: str = "no") -> Any:
    """Start a server that accepts only TLS."""
    certificate, key = authority.issue("store", *names)
    server = launch(tcp=True, start=False)
    server.command = [BINARY, *server.command[1:]]
    server.command[server.command.index("--port")] = "--tls-port"
    options = {
        "port": "0",
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.file),
        "tls-auth-clients": clients,
    }
    for name, value in options.items():
        server.command += [f"--{name}", value]
    server.url = server.url.replace("redis:", "rediss:")
    server.admin_options |= {
        "ssl": True,
        "ssl_ca_certs": str(authority.file),
        "ssl_certfile": str(certificate),
        "ssl_keyfile": str(key),
        "ssl_check_hostname": False,
    }
    return server.start()


def test_certificate_of_the_configured_authority_is_trusted(launch: Any, connect: Any, authority: Authority) -> None:
    server = serve(launch, authority, LOOPBACK)
    link = connect(f"{server.url}/1?ssl_ca_certs={authority.file}")
    assert link.wait(60)
    large = b"x" * 3_000_000
    link.pipeline([(b"k", ("SET", "k", "1")), (b"l", ("SET", "l", large))])
    assert link.read([(b"k", (b"GET", b"k")), (b"l", (b"GET", b"l"))]) == [b"1", large]
    assert link.run(Script("tls", b"return redis.call('INCR', KEYS[1])"), [b"k"], []) == 2
    assert link.ready()


def test_event_loop_asks_over_tls(launch: Any, ask_in_loop: Any, authority: Authority) -> None:
    server = serve(launch, authority, LOOPBACK)
    client = ask_in_loop(f"{server.url}/1?ssl_ca_certs={authority.file}")
    large = b"x" * 3_000_000
    client.link.pipeline([(b"k", ("SET", "k", "1")), (b"l", ("SET", "l", large))])
    assert client.read((b"k", (b"GET", b"k")), (b"l", (b"GET", b"l"))) == [b"1", large]
    assert client.get_all([b"k"] * 300) == [b"1"] * 300
    call = ScriptCall(Script("tls", b"return redis.call('INCR', KEYS[1])"), (b"k",), ())
    assert [client.run(call) for _ in range(3)] == [[2], [3], [4]]


def test_ssl_cert_file_variable_is_respected(
    launch: Any, connect: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(launch, authority, LOOPBACK)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert connect(server.url).wait(60)


def test_certificate_for_a_host_name_is_trusted_under_that_name(
    launch: Any, connect: Any, authority: Authority
) -> None:
    server = serve(launch, authority, x509.DNSName("localhost"))
    link = connect(server.url.replace("127.0.0.1", "localhost") + f"?ssl_ca_certs={authority.file}")
    assert link.wait(60)


@pytest.mark.parametrize("signer", ["nobody", "another", "ourselves"])
def test_untrusted_certificate_is_an_outage(
    launch: Any, connect: Any, until: Any, authority: Authority, tmp_path: Path, signer: str
) -> None:
    """The signer is unknown, is another than the configured one, or signed for another host."""
    names = [x509.DNSName("elsewhere.example")] if signer == "ourselves" else [LOOPBACK]
    server = serve(launch, authority, *names)
    trusted = {
        "nobody": "",
        "another": f"?ssl_ca_certs={Authority(tmp_path, 'impostor').file}",
        "ourselves": f"?ssl_ca_certs={authority.file}",
    }[signer]
    link = connect(server.url + trusted)
    link.start()
    until(lambda: link.why == "certificate")
    with pytest.raises(StoreUnavailable, match="the store's certificate is not trusted: "):
        link.read([(b"k", (b"GET", b"k"))])
    assert not link.ready()


def test_client_certificate_is_presented_when_the_store_requires_one(
    launch: Any, connect: Any, until: Any, authority: Authority
) -> None:
    server = serve(launch, authority, LOOPBACK, clients="yes")
    certificate, key = authority.issue("paywall", LOOPBACK)
    trust = f"{server.url}?ssl_ca_certs={authority.file}"
    assert connect(f"{trust}&ssl_certfile={certificate}&ssl_keyfile={key}").wait(60)
    without = connect(trust)
    without.start()
    until(lambda: without.why in ("lost", "tls"))


@pytest.mark.parametrize("asked", ["rediss", "redis"])
def test_tls_mismatch_is_an_outage(launch: Any, connect: Any, until: Any, authority: Authority, asked: str) -> None:
    server = launch(tcp=True) if asked == "rediss" else serve(launch, authority, LOOPBACK)
    link = connect(f"{asked}://127.0.0.1:{server.port}", timeout=0.5)
    link.start()
    until(lambda: not link.available)
    assert link.why in ("tls", "lost", "protocol", "timeout")


def test_outage_over_tls_recovers(launch: Any, connect: Any, until: Any, authority: Authority) -> None:
    server = serve(launch, authority, LOOPBACK)
    link = connect(f"{server.url}?ssl_ca_certs={authority.file}", timeout=1.0)
    assert link.wait(60)
    server.freeze()
    with pytest.raises(StoreUnavailable, match="timeout"):
        link.read([(b"k", (b"GET", b"k"))])
    server.thaw()
    until(lambda: link.available)
    server.end(signal.SIGKILL)
    with pytest.raises(StoreUnavailable):
        link.read([(b"k", (b"GET", b"k"))])
    server.start()
    until(lambda: link.available)
    assert link.read([(b"k", (b"GET", b"k"))]) == [None]


def test_redis_py_trusts_the_same_certificates(launch: Any, authority: Authority) -> None:
    """redis-py with the same options trusts and rejects the same certificates."""
    server = serve(launch, authority, LOOPBACK)
    trusting = redis.Redis.from_url(f"{server.url}?ssl_ca_certs={authority.file}")
    assert trusting.ping()
    trusting.close()
    doubting = redis.Redis.from_url(server.url)
    with pytest.raises(redis.ConnectionError):
        doubting.ping()
    doubting.close()
