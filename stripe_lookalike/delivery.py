"""Webhook delivery: threads that sign events and post them to the registered endpoints, with retries."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time

import requests

from stripe_lookalike import legacy
from stripe_lookalike.delivery_queue import DeliveryQueue, PendingDelivery
from stripe_lookalike.domain import due_work
from stripe_lookalike.errors import Json
from stripe_lookalike.world import World, public

_SENDERS = 8
_TIMEOUT = 10  # seconds to wait for a response


def signature_header(payload: bytes, secret: str, timestamp: int) -> str:
    """Return the `Stripe-Signature` header `t=…,v1=…`: an HMAC-SHA256 over `timestamp.payload`."""
    mark = hmac.new(secret.encode(), f"{timestamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mark}"


class Delivery:
    """Queues the world's events and sends them to the endpoints."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue = DeliveryQueue(time.monotonic)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def attach(self, world: World) -> None:
        """Deliver the events of this world from now on, and drop the queue of the former one."""
        self.queue.clear()
        self.world = world
        world.on_event = self.enqueue_event

    def enqueue_event(self, event: Json) -> None:
        """Queue a new event for each endpoint that subscribes to it, and count these in `pending_webhooks`."""
        for endpoint in self._subscribed(event):
            event["pending_webhooks"] += 1
            self.queue.enqueue(event["id"], endpoint)

    def resend(self, event: Json, times: int = 1) -> None:
        """Send an event again to every endpoint that subscribes to it, as "Resend" in the Dashboard does."""
        for endpoint in self._subscribed(event):
            for _ in range(times):
                self.queue.enqueue(event["id"], endpoint, exact=True)

    def _subscribed(self, event: Json) -> list[str]:
        """Return the IDs of the enabled endpoints that subscribe to an event's type."""
        return [
            endpoint["id"]
            for endpoint in self.world.table("webhook_endpoint").values()
            if endpoint["status"] == "enabled" and {"*", event["type"]} & {*endpoint["enabled_events"]}
        ]

    def send_raw(self, body: bytes) -> None:
        """Sign any body and send it to every endpoint, such as a thin event or invalid JSON."""
        for endpoint_id in self.world.table("webhook_endpoint"):
            self.queue.enqueue("", endpoint_id, body=body, exact=True)

    def start(self) -> None:
        for n in range(_SENDERS):
            thread = threading.Thread(target=self._send_all, name=f"stripe-lookalike-{n}", daemon=True)
            thread.start()
            self._threads.append(thread)
        ticker = threading.Thread(target=self._tick, name="stripe-lookalike-clock", daemon=True)
        ticker.start()
        self._threads.append(ticker)

    def stop(self) -> None:
        """Stop the threads, without sending what is queued. Wait at most two seconds for requests in progress."""
        self._stopped.set()
        self.queue.close()
        deadline = time.monotonic() + 2
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    def _tick(self) -> None:
        """Run due work twice a second, so that real time has its effect without any request."""
        while not self._stopped.wait(0.5):
            with self.world.lock:
                due_work.run_due(self.world)

    def _send_all(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # endpoints are on this machine, so ignore proxies
            while not self._stopped.is_set():
                pending = self.queue.wait_for_due(timeout=0.25)
                if pending is not None:
                    self.queue.record_outcome(pending, self._send(session, pending))

    def _send(self, session: requests.Session, pending: PendingDelivery) -> str:
        request = self._prepare(pending)
        if request is None:
            return "gone"
        url, secret, body = request
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, secret, self.world.clock.signing_time()),
        }
        try:
            answer = session.post(url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException:
            return "failed"
        if not 200 <= answer.status_code < 300:
            return "failed"
        self._mark_delivered(pending)
        return "delivered"

    def _prepare(self, pending: PendingDelivery) -> tuple[str, str, bytes] | None:
        """Return the URL, the secret, and the body in the endpoint's API version."""
        with self.world.lock:
            endpoint = self.world.table("webhook_endpoint").get(pending.endpoint)
            event = self.world.table("event").get(pending.event)
            if endpoint is None or endpoint["status"] != "enabled" or (event is None and pending.body is None):
                return None
            body = pending.body
            if body is None and event is not None:
                shaped = legacy.event_in_version(public(event), endpoint["api_version"], self.world.find)
                body = json.dumps(shaped, indent=2, ensure_ascii=False).encode()
            return endpoint["url"], endpoint["_secret"], body or b""

    def _mark_delivered(self, pending: PendingDelivery) -> None:
        with self.world.lock:
            event = self.world.table("event").get(pending.event)
            key = (pending.event, pending.endpoint)
            if event is not None and key not in self.world.delivered:
                self.world.delivered.add(key)
                event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
