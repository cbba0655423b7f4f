"""Run nginx or Caddy with the example of `config/`, on free ports, and send requests through it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.certificate_authority import Authority
from tests.store_servers import free_port, wait_until

ROOT = Path(__file__).parents[2]
HOST = "paywall.example.news"
STRANGER, SITE, STAFF = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Addresses of this machine that stand for those of the examples."""

NGINX = """daemon off;
pid {folder}/pid;
error_log {folder}/log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {example};
}}
"""


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """Return an example with other ports, addresses and files. What is to be changed must be in it."""
    for there, here in changes.items():
        assert there in text, there
        text = text.replace(there, here)
    return text


@dataclass
class ReverseProxy:
    """nginx or Caddy in front of upstreams on this machine."""

    kind: str
    folder: Path
    upstreams: list[int]
    port: int = field(default_factory=free_port)
    authority: Authority = field(init=False)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> ReverseProxy:
        self.authority = Authority(self.folder, "authority")
        certificate, key = self.authority.issue(HOST, x509.DNSName(HOST))
        addresses = {"192.0.2.0/24": f"{SITE}/32", "198.51.100.0/24": f"{STAFF}/32"}
        files = {"/etc/ssl/paywall/cert.pem": str(certificate), "/etc/ssl/paywall/key.pem": str(key)}
        command, env = getattr(self, f"_{self.kind}")({**addresses, **files})
        with (self.folder / "out").open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **env})
        wait_until(self._listens)
        return self

    def _nginx(self, changes: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        servers = [f"server 127.0.0.1:{port} max_fails=3 fail_timeout=2s;" for port in self.upstreams]
        changes |= {"server 127.0.0.1:8000 max_fails=3 fail_timeout=2s;": "\n".join(servers)}
        changes |= {"listen 443": f"listen 127.0.0.1:{self.port}", "listen 80": f"listen 127.0.0.1:{free_port()}"}
        example = self.folder / "paywall.conf"
        example.write_text(adapted((ROOT / "config/nginx/paywall.conf").read_text(), changes))
        main = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # the folders of the tests are private
        main.write_text(NGINX.format(folder=self.folder, example=example, user=user))
        return ["nginx", "-p", str(self.folder), "-c", str(main)], {}

    def _caddy(self, changes: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        servers = " ".join(f"127.0.0.1:{port}" for port in self.upstreams)
        changes |= {"reverse_proxy 127.0.0.1:8000 {": f"reverse_proxy {servers} {{", "# tls /etc": "tls /etc"}
        changes |= {
            "https_port 443": f"https_port {self.port}",
            "http_port 80": f"http_port {free_port()}\n\tadmin off",
        }
        example = self.folder / "Caddyfile"
        text = (ROOT / "config/caddy/Caddyfile").read_text()
        # The comment is removed before the file that it names is replaced.
        example.write_text(adapted(text, {"# tls /etc": changes.pop("# tls /etc"), **changes}))
        env = {"XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        if self.is_old_caddy:
            env["PAYWALL_CADDY_BUFFER"] = "buffer_requests"
        return ["caddy", "run", "--config", str(example), "--adapter", "caddyfile"], env

    @cached_property
    def is_old_caddy(self) -> bool:
        """Whether this is the Caddy of Debian 12 and 13."""
        if self.kind != "caddy":
            return False
        version = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
        return version.lstrip("v").startswith("2.6.2")

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "out").read_text()
        try:
            self.connect().close()
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def connect(self, source: str = STRANGER, *protocols: str) -> ssl.SSLSocket:
        """Open a connection from one of this machine's addresses."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.verify_flags &= (
            ~ssl.VERIFY_X509_STRICT
        )  # Python 3.13 requires extensions that this authority leaves out.
        context.set_alpn_protocols(list(protocols or ("http/1.1",)))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))
        return context.wrap_socket(plain, server_hostname=HOST)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        source: str = STRANGER,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return its status, its headers in lower case, and its body."""
        connection = http.client.HTTPConnection(HOST)
        connection.sock = self.connect(source)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {**(headers or {}), **({"Content-Length": str(len(body))} if body else {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)


class Echo:
    """An upstream that answers with what it received, and keeps it."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found: dict[str, Any] = {
                    "method": self.command,
                    "path": self.path,
                    "version": self.request_version,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
                received.append(found)
                found["length"] = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                answer = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815  the name that http.server calls

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Report nothing: a proxy that refuses a request may close its connection at any moment."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(60)


def installed(kind: str) -> bool:
    return shutil.which(kind) is not None
