"""Webhooks: signs events and posts them to the registered endpoints, from its own threads, until they are taken."""

from __future__ import annotations

import json
import threading
import time

import requests

from stripe_lookalike import legacy, signature
from stripe_lookalike.delivery_queue import Letter, Mailbag
from stripe_lookalike.domain import due_work
from stripe_lookalike.errors import Json
from stripe_lookalike.world import World, public

_SENDERS = 8


def wants(endpoint: Json, event_type: str) -> bool:
    """Whether an endpoint is on and listens to this type."""
    listens = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in listens or event_type in listens)


class Delivery:
    """Feeds the mailbag from the world's events and empties it into the endpoints."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bag = Mailbag(time.monotonic)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def watch(self, world: World) -> None:
        """Deliver the events of this world from now on; what waited from another one is forgotten."""
        self.bag.clear()
        self.world = world
        world.on_event = self.announce

    def announce(self, event: Json) -> None:
        """An event has come to be: `pending_webhooks` counts the endpoints that are to get it."""
        for endpoint in self.world.table("webhook_endpoint").values():
            if wants(endpoint, event["type"]):
                event["pending_webhooks"] += 1
                self.bag.post(event["id"], endpoint["id"])

    def send_again(self, event: Json, times: int = 1) -> None:
        """Somebody presses "resend": to every endpoint that listens, whatever was delivered before."""
        for endpoint in self.world.table("webhook_endpoint").values():
            if wants(endpoint, event["type"]):
                for _ in range(times):
                    self.bag.post(event["id"], endpoint["id"], faithful=True)

    def send_raw(self, body: bytes) -> None:
        """Sign and send any body to every endpoint: a thin event, or nonsense."""
        for endpoint_id in self.world.table("webhook_endpoint"):
            self.bag.post("", endpoint_id, body=body, faithful=True)

    def start(self) -> None:
        for n in range(_SENDERS):
            thread = threading.Thread(target=self._send_all, name=f"stripe-lookalike-{n}", daemon=True)
            thread.start()
            self._threads.append(thread)
        ticker = threading.Thread(target=self._tick, name="stripe-lookalike-clock", daemon=True)
        ticker.start()
        self._threads.append(ticker)

    def stop(self) -> None:
        """Ends the threads; what waits is not sent, and what hangs in an endpoint is left behind after two seconds."""
        self._stopped.set()
        self.bag.close()
        deadline = time.monotonic() + 2
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    def _tick(self) -> None:
        """What falls due with the passing of real time happens, also when nobody asks."""
        while not self._stopped.wait(0.5):
            with self.world.lock:
                due_work.catch_up(self.world)

    def _send_all(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # endpoints are on this machine: no proxy
            while not self._stopped.is_set():
                letter = self.bag.take(patience=0.25)
                if letter is not None:
                    self.bag.done(letter, self._send(session, letter))

    def _send(self, session: requests.Session, letter: Letter) -> str:
        prepared = self._prepare(letter)
        if prepared is None:
            return "gone"
        url, secrets, body = prepared
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature.header(body, secrets, self.world.clock.stamp()),
        }
        timeout = self.bag.conduct.timeout
        try:
            answer = session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False)
        except requests.RequestException:
            return "failed"
        if not 200 <= answer.status_code < 300:
            return "failed"
        self._taken(letter)
        return "delivered"

    def _prepare(self, letter: Letter) -> tuple[str, list[str], bytes] | None:
        """Where it goes, with which secrets, and the body in the endpoint's own API version."""
        with self.world.lock:
            endpoint = self.world.table("webhook_endpoint").get(letter.endpoint)
            event = self.world.table("event").get(letter.event)
            if endpoint is None or endpoint["status"] != "enabled" or (event is None and letter.body is None):
                return None
            body = letter.body
            if body is None and event is not None:
                shaped = legacy.event_in_version(public(event), endpoint["api_version"], self.world.find)
                body = json.dumps(shaped, indent=2, ensure_ascii=False).encode()
            return endpoint["url"], endpoint["_secrets"], body or b""

    def _taken(self, letter: Letter) -> None:
        with self.world.lock:
            event = self.world.table("event").get(letter.event)
            key = (letter.event, letter.endpoint)
            if event is not None and key not in self.world.delivered:
                self.world.delivered.add(key)
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
