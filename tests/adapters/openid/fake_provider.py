"""A fake OpenID provider over real HTTP: a test chooses its tokens, keys and failures."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

CLIENT, SECRET = "paywall", "secret-of-the-client-0123456789abcdef"


def b64(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token with `alg: none`."""
    return ".".join([*(b64(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)), ""])


def hs256(claims: dict[str, Any], secret: bytes) -> str:
    """Return a token signed with HS256. Libraries refuse a public key as the secret, so this does not use one."""
    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "first"}, claims))
    return f"{text}.{b64(hmac.new(secret, text.encode(), sha256).digest())}"


class _Unchecked(JWSRegistry):
    """A registry that signs with any header."""

    def check_header(self, header: dict[str, Any]) -> None:
        """Check nothing."""


class FakeProvider:
    """A provider whose `claims`, `sign`, `keys`, `userinfo`, `described`, `broken` (paths) and `delay` a test may change."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
        self.keys: list[RSAKey | ECKey | OKPKey] = [self.key]
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: self.signed(claims)
        self.described: dict[str, Any] = {}
        self.broken: dict[str, int] = {}
        self.delay = 0.0
        """Seconds until a request for tokens is answered."""
        self.asked: list[str] = []
        self.granted: dict[str, dict[str, str]] = {}
        self.access_token = "an-access-token-of-the-tests"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(60)

    def signed(self, claims: dict[str, Any], key: Any = None, alg: str = "RS256", **header: Any) -> str:
        key = key or self.key
        given = {"alg": alg, **({"kid": key.kid} if key.kid else {}), **header}
        return jwt.encode(given, claims, key, registry=_Unchecked(algorithms=[alg]))

    def grants(self, address: str) -> str:
        """Consent to the authorization request in this URL and return its code."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        code = f"code-{len(self.granted)}"
        self.granted[code] = asked
        return code

    def _token(self, form: dict[str, str], header: str | None) -> tuple[int, dict[str, Any]]:
        basic = header == "Basic " + b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        posted = header is None and (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        if not (posted if "token_endpoint_auth_methods_supported" in self.described else basic):
            return 401, {"error": "invalid_client"}
        asked = self.granted.pop(form.get("code", ""), None)
        proof = b64(sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or asked["code_challenge"] != proof or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant", "error_description": f"no such code: {form.get('code')}"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "7",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": "ann@example.news",
            "email_verified": True,
            "groups": ["desk"],
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return 200, {"access_token": self.access_token, "token_type": "Bearer", "id_token": self.sign(claims)}

    def _discovery(self) -> dict[str, Any]:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        } | self.described
        return {name: value for name, value in found.items() if value is not None}

    def _answer(self, path: str, form: dict[str, str], header: str | None) -> tuple[int, Any]:
        self.asked.append(path)
        if path in self.broken:
            return self.broken[path], {"error": "server_error"}
        if path == "/.well-known/openid-configuration":
            return 200, self._discovery()
        if path == "/keys":
            return 200, KeySet(list(self.keys)).as_dict(private=False)
        if path == "/userinfo":
            right = header == f"Bearer {self.access_token}"
            return (200, {"sub": "7", **self.userinfo}) if right else (401, {"error": "invalid_token"})
        threading.Event().wait(self.delay)
        return self._token(form, header) if path == "/token" else (404, {})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake_provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                status, answer = fake_provider._answer(
                    urlsplit(self.path).path, form, self.headers.get("Authorization")
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815  # http.server requires these names

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        return Handler
