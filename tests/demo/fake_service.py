"""Run a small server that answers as the contract says, to test the newspaper without the service.

Run as a script: prints its address, then serves until it is ended. What a test may set up goes through `POST /_/…`:
`/_/plan` {"reader", "plan"}, `/_/settings` {"mode", "late"}, `/_/reset` {}; `GET /_/asked` lists what was asked, newest last.
"""

import itertools
import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

SITE_KEY = "site-key-of-the-fake"
PLANS = {
    "supporter": ["notebook", "no_ads", "no_autoplay", "newsmaker_events"],
    "day_pass": ["notebook"],
    "vip": ["notebook", "no_ads", "no_autoplay", "newsmaker_events"],
}
LINES = {
    "no_ads": "No ads within stories",
    "no_autoplay": "No autoplay videos",
    "newsmaker_events": "VIP access to newsmaker events",
    "notebook": "The reporter's notebook: documents, data and interviews behind every story",
}
PRICES = {
    "supporter": [
        {"id": "price_month", "amount": 500, "currency": "usd", "interval": "month"},
        {"id": "price_year", "amount": 5000, "currency": "usd", "interval": "year"},
    ],
    "day_pass": [{"id": "price_day", "amount": 150, "currency": "usd", "interval": None}],
}
NAMES = {"supporter": "Supporter", "day_pass": "Day pass"}
LIMITS = {"reader": 5, "visitor": 2}
FREE_ACCOUNT = {
    "id": "free_account",
    "heading": "Read this with a free account",
    "benefits": [],
    "button": "Create a free account",
    "plans": [],
    "links": [],
}

lock = threading.RLock()
held: dict[str, str] = {}  # reader → plan
paid_late: dict[str, tuple[str, int]] = {}  # reader → plan, and how many checks it stays unknown
read: dict[str, set[str]] = {}  # "reader:…" or "visitor:…" → stories counted
asked: list[dict[str, Any]] = []
settings: dict[str, Any] = {"mode": "normal", "late": 0}
numbers = itertools.count(1)


class Problem(Exception):
    """An error answer with this status."""


def access(body: dict[str, Any], *, count: bool) -> dict[str, Any]:
    """Answer `POST /v1/access` by the rules of the sample configuration."""
    story, reader, visitor = body["story"], body.get("reader"), body.get("visitor")
    tier = _tier(story)
    plan = _plan(reader)
    features = PLANS[plan] if plan else []
    meter = None
    steps: list[dict[str, Any]] = []
    if tier == "free":
        reason = "free"
    elif tier == "free_account":
        if body.get("verified"):
            reason = "registered"
        else:
            reason = "verification_required" if reader else "sign_in_required"
            steps = [{"step": "verify"} if reader else {"step": "sign_in", "verified": True}]
    elif settings["mode"] == "degraded":
        reason, features = "store_unavailable", []
    elif "notebook" in features:
        reason = {"day_pass": "pass", "vip": "grant"}.get(str(plan), "subscription")
    elif tier == "supporters":
        reason = "no_entitlement"
    else:
        reason, meter = _metered(story["id"], reader, visitor, count)
    opened = reason in {"free", "registered", "metered", "pass", "grant", "subscription"} or (
        reason == "store_unavailable" and reader
    )
    entitled = reason in {"pass", "grant", "subscription"}
    return {
        "decision_id": f"d{next(numbers)}",
        "show": "full" if opened else "upsell",
        "reason": reason,
        "tier": tier,
        "parts": {part: "open" if opened or part == "facts" else "locked" for part in story.get("parts", [])},
        "features": features,
        "source": {"type": reason, "id": "s1", "plan": plan} if entitled else None,
        "until": "2031-01-01T00:00:00Z" if entitled else None,
        "meter": meter,
        "offer": None if opened else FREE_ACCOUNT if steps else _offer(),
        "next": steps,
        "refresh_after": None,
        "degraded": settings["mode"] == "degraded",
        "explain": None,
    }


def _tier(story: dict[str, Any]) -> str:
    if story.get("section") == "public-safety":
        return "free"
    if story.get("section") == "food":
        return "free_account"
    published = story.get("published_at")
    old = published and datetime.now(UTC) - datetime.fromisoformat(published) >= timedelta(days=30)
    return "supporters" if old else "metered"


def _plan(reader: str | None) -> str | None:
    if reader in paid_late:
        plan, asks = paid_late.pop(reader)
        if asks > 0:
            paid_late[reader] = (plan, asks - 1)
        else:
            held[reader] = plan
    return held.get(reader or "")


def _metered(story: str, reader: str | None, visitor: str | None, count: bool) -> tuple[str, dict[str, Any] | None]:
    if not reader and not visitor:
        return "sign_in_required", None
    kind = "reader" if reader else "visitor"
    mine = read.setdefault(f"{kind}:{reader or visitor}", set())
    union = mine | (read.get(f"visitor:{visitor}", set()) if reader else set())
    open_ = story in union or len(union) < LIMITS[kind]
    counted = open_ and count and story not in union
    if count:
        mine |= union | ({story} if open_ else set())
    used = len(union | ({story} if counted else set()))
    first = datetime.now(UTC).replace(day=1, hour=5, minute=0, second=0, microsecond=0)
    resets = (first + timedelta(days=32)).replace(day=1).isoformat().replace("+00:00", "Z")
    limit = LIMITS[kind]
    meter = {
        "name": "stories",
        "limit": limit,
        "used": used,
        "left": max(0, limit - used),
        "counted": counted,
        "resets_at": resets,
    }
    return "metered" if open_ else "meter_used_up", meter


def _offer() -> dict[str, Any]:
    plans = [{"id": plan, "name": NAMES[plan], "prices": prices} for plan, prices in PRICES.items()]
    return {
        "id": "notebook",
        "heading": "Unlock unlimited access",
        "benefits": list(LINES.values()),
        "button": "Support us",
        "plans": plans,
        "links": [{"text": "The Spotlight", "url": "/spotlight"}],
    }


def checkout(body: dict[str, Any], base: str) -> dict[str, Any]:
    """Return the URL of a payment page on this server."""
    plan = body.get("plan") or next(
        (p for p, prices in PRICES.items() if body["price"] in {x["id"] for x in prices}), None
    )
    if plan not in PRICES:
        raise Problem(422)
    if held.get(body["reader"]) == plan:
        raise Problem(409)
    return {"url": f"{base}/pay?reader={quote(body['reader'])}&plan={plan}&back={quote(body['return_url'], safe='')}"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        path = urlsplit(self.path).path
        with lock:
            if path.startswith("/_/"):
                self._set_up(path, body)
                return self._answer(200, {})
            asked.append({"path": path, **body})
            if settings["mode"] == "garbage":
                return self._answer(200, ["not", "an", "object"])
            if settings["mode"] == "broken":
                return self._answer(500, {"title": "broken"})
            if self.headers.get("Authorization") != f"Bearer {SITE_KEY}":
                return self._answer(401, {"title": "Unauthorized"})
            try:
                return self._answer(200, self._call(path, body))
            except Problem as problem:
                return self._answer(problem.args[0], {"title": "no"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/_/asked":
            return self._answer(200, asked)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/pay":
            with lock:
                paid_late[query["reader"]] = (query["plan"], settings["late"])
            self.send_response(303)
            self.send_header("Location", f"{query['back']}&session_id=cs_test_1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if url.path.endswith("/summary"):
            with lock:
                return self._summary(unquote(url.path.split("/")[3]))
        return self._answer(200, {"title": "the portal"})

    def _summary(self, reader: str) -> None:
        if settings["mode"] != "normal":
            return self._answer(503, {"title": "unavailable"})
        plan = _plan(reader)
        found: dict[str, Any] = {"reader": reader, "access": False, "features": [], "plans": [], "portal": False}
        if plan is not None:
            named = {"plan": plan, "name": NAMES.get(plan, plan), "until": "2031-01-01T00:00:00Z", "renews": True}
            found |= {"access": True, "features": PLANS[plan], "plans": [named], "portal": plan == "supporter"}
        return self._answer(200, found)

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        base = f"http://{self.headers['Host']}"
        if path == "/v1/access":
            return access(body, count=body.get("count", True))
        if path == "/v1/access/batch":
            return {"decisions": [access({**body, "story": story}, count=False) for story in body["stories"]]}
        if path == "/v1/checkout":
            return checkout(body, base)
        if path == "/v1/checkout/returned":
            return {"session": body["session"], "settled": False}
        if path == "/v1/portal" and held.get(body["reader"]) == "supporter":
            return {"url": f"{base}/portal"}
        raise Problem(404)

    def _set_up(self, path: str, body: dict[str, Any]) -> None:
        if path == "/_/plan":
            held[body["reader"]] = body["plan"]
        elif path == "/_/reset":
            for kept in (held, paid_late, read, asked):
                kept.clear()
            settings.update(mode="normal", late=0)
        else:
            settings.update(body)

    def _answer(self, status: int, answer: object) -> None:
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
