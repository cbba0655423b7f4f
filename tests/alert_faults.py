"""Cause the fault of each alert on a running service, and scrape its metrics during each."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.redis.client.keys import Keys, partition_of, reader_hash
from stripe_lookalike import RunningLookalike
from tests.running_service import ADMIN_KEY, Paywall, command_of, descendants
from tests.store_servers import Server, wait_until
from tests.stripe_fixtures import Made

SECOND_ADMIN = "second-admin-key-of-the-tests"
KEYS = Keys("pw")
Json = dict[str, Any]


@dataclass(frozen=True)
class Scrape:
    """What Prometheus would have scraped at a moment."""

    at: float
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels."""
        return sum(
            value
            for (sample, given), value in self.samples.items()
            if sample == name and labels.items() <= dict(given).items()
        )


def scrape(paywall: Paywall) -> Scrape:
    """Scrape once, as Prometheus does: `up` is 0 if that fails."""
    at = time.time()
    try:
        page = requests.get(paywall.url + "/metrics", timeout=10).text
    except requests.ConnectionError:
        return Scrape(at, {("up", ()): 0.0})
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}
    return Scrape(at, {("up", ()): 1.0} | samples)


def above(limit: float, name: str, **labels: str) -> Callable[[Scrape], bool]:
    """Return a condition: the samples with these labels add up to more than a limit."""
    return lambda now: now.value(name, **labels) > limit


class Faults:
    """Causes a fault for each alert, one after another, on one running service. `seen` has the scrapes during each."""

    def __init__(self, paywall: Paywall, store: Server, lookalike: RunningLookalike) -> None:
        self.paywall, self.store, self.lookalike = paywall, store, lookalike
        self.redis = store.admin()
        self.seen: dict[str, list[Scrape]] = {}
        assert self.send_snapshot(range(2)) == 202
        self.healthy = self.scrape_when(
            lambda now: (
                all(now.value(f"paywall_{name}_timestamp_seconds") for name in ("last_full_sync", "state"))
                and now.value("paywall_worker_heartbeat_timestamp_seconds") > 0
                and now.value("paywall_provider_snapshot_timestamp_seconds") > 0
            )
        )

    def run(self) -> None:
        """Cause all faults. What the last ones break stays broken."""
        self.fail_sign_ins()
        self.send_unsigned_webhooks()
        self.crash()
        self.slow_down()
        self.leave_work_undone()
        self.shrink_a_snapshot()
        self.run_out_of_file_descriptors()
        self.break_stripe()
        self.stop_the_worker()
        self.restart_and_stop_reading()
        self.fill_the_store()
        self.end_the_store()
        self.paywall.end()
        self.seen["PaywallDown"] = [scrape(self.paywall)]

    def scrape_when(self, condition: Callable[[Scrape], Any]) -> Scrape:
        """Return the first scrape that meets a condition."""
        found: list[Scrape] = []

        def meets() -> bool:
            found.append(scrape(self.paywall))
            return bool(condition(found[-1]))

        wait_until(meets)
        return found[-1]

    def rising(self, name: str, act: Callable[[], object], least: int = 1, **labels: str) -> list[Scrape]:
        """Act twice, and return a scrape after each time, when a counter has risen by at least so many."""
        found = [self.healthy]
        for _ in range(2):
            act()
            before = found[-1].value(name, **labels)
            found.append(self.scrape_when(above(before + least - 1, name, **labels)))
        return found[1:]

    def fail_sign_ins(self) -> None:
        with requests.Session() as browser:
            page = browser.get(f"{self.paywall.url}/admin/sign-in", timeout=60).text
            token = re.search(r'name="token" value="([0-9a-f]+)"', page)
            assert token
            for _ in range(21):
                form = {"token": token[1], "key": "an-invented-key-of-no-admin"}
                assert browser.post(f"{self.paywall.url}/admin/sign-in", data=form, timeout=60).status_code == 401
        before = self.healthy.value("paywall_sign_ins_total", outcome="failed")
        self.seen["PaywallSignInsFail"] = [
            self.scrape_when(above(before + 20, "paywall_sign_ins_total", outcome="failed"))
        ]

    def send_unsigned_webhooks(self) -> None:
        def send() -> None:
            for _ in range(6):
                self.deliver(Made.event("invoice.paid", {}), secret="whsec_of_another_endpoint", status=400)

        self.seen["PaywallWebhooksRejected"] = self.rising("paywall_webhooks_total", send, 6, outcome="bad_signature")

    def crash(self) -> None:
        """Give a reader's record another type: no check of theirs can be answered."""
        self.redis.set(KEYS.reader(reader_hash("r-broken")), "not a hash")

        def ask() -> None:
            for number in range(5):
                body = {"story": {"id": f"crash-{number}"}, "reader": "r-broken"}
                assert self.paywall.post("/v1/access", body).status_code == 500

        self.seen["PaywallCrashes"] = self.rising("paywall_crashes_total", ask, 5)
        self.seen["PaywallRequestsFail"] = self.seen["PaywallCrashes"]

    def slow_down(self) -> None:
        """Let the store pause before it answers, for less than the service's time-out."""

        def ask() -> None:
            for number in range(5):
                self.redis.client_pause(170)
                self.paywall.ask_once(f"slow-{number}-{os.urandom(4).hex()}", visitor="v-slow")

        labels = {"route": "/v1/access"}
        self.seen["PaywallAccessSlow"] = self.rising("paywall_request_seconds_count", ask, 5, **labels)
        self.scrape_when(above(0, "paywall_store_up"))

    def leave_work_undone(self) -> None:
        """Leave an approval open, spoil a reader's record before an import, and break the head of the audit chain."""
        asked = self.paywall.post("/v1/readers/r-1/grants", {"plan": "vip", "reason": "x", "until": None}, ADMIN_KEY)
        assert asked.status_code == 202, asked.text
        rows = "reader,plan,until,reason\n" + "".join(f"r-{n},vip,2030-01-01T00:00:00Z,x\n" for n in range(101))
        sent = self.paywall.session.post(
            f"{self.paywall.url}/v1/grants/import",
            data=rows,
            headers={"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"},
            timeout=60,
        )
        assert sent.status_code == 202, sent.text
        waiting = self.paywall.get("/v1/approvals").json()["items"]
        self.redis.set(KEYS.history(reader_hash("r-7")), "not a list")
        approval = next(item["approval"] for item in waiting if item["kind"] == "import.apply")
        self.paywall.post(f"/v1/approvals/{approval}", None, SECOND_ADMIN)  # Committed, it fails at this reader.
        self.redis.rename(KEYS.audit_head, "kept")
        self.redis.set(KEYS.audit_head, "not a hash")
        self.paywall.grant("r-2", until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400)))
        for alert, name, labels in (
            ("PaywallApprovalsWaiting", "paywall_approvals_waiting", {}),
            ("PaywallImportStuck", "paywall_imports", {"state": "applying"}),
            ("PaywallAuditBacklog", "paywall_audit_entries_waiting", {}),
        ):
            self.seen[alert] = [self.scrape_when(above(0, name, **labels))]
        self.redis.rename("kept", KEYS.audit_head)
        self.redis.delete(KEYS.history(reader_hash("r-7")))

    def shrink_a_snapshot(self) -> None:
        assert self.send_snapshot(range(1)) == 409
        self.seen["PaywallSnapshotRefused"] = [self.scrape_when(above(0, "paywall_provider_snapshot_refused"))]

    def send_snapshot(self, readers: range) -> int:
        """Send the set of a provider's subscriptions, and return the status."""
        rows = "id,reader,plan,until\n" + "".join(f"{number},r-{number},vip,\n" for number in readers)
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "text/csv"}
        url = f"{self.paywall.url}/v1/providers/paper/snapshot"
        return self.paywall.session.put(url, data=rows, headers=headers, timeout=60).status_code

    def run_out_of_file_descriptors(self) -> None:
        processes = self.processes("web_server")
        usual = resource.prlimit(processes[0], resource.RLIMIT_NOFILE)
        for pid in processes:
            used = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, usual[1]))
        opened, most = "process_open_fds", "process_max_fds"
        self.seen["PaywallFileDescriptors"] = [
            self.scrape_when(lambda now: now.value(opened, process="web") > 0.8 * now.value(most, process="web"))
        ]
        for pid in processes:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)

    def break_stripe(self) -> None:
        """Let Stripe refuse the key, and then fail: events wait, and one of them has been tried nine times before."""
        self.stripe_answers(401)
        self.seen["PaywallStripeRefusesKey"] = self.rising(
            "paywall_stripe_requests_total", lambda: self.deliver_subscriptions(1), outcome="unauthorized"
        )
        self.stripe_answers(500)
        failing = self.rising(
            "paywall_stripe_requests_total", lambda: self.deliver_subscriptions(11), outcome="failing"
        )
        self.seen["PaywallStripeFails"] = failing
        self.seen["PaywallStripeBacklog"] = [self.scrape_when(above(20, "paywall_stripe_objects_waiting"))]
        invoice = Made.event(
            "invoice.paid", {"id": "in_1", "object": "invoice", "subscription": "sub_dead"}, id="evt_9"
        )
        self.deliver(invoice)
        event = KEYS.stripe_event(partition_of("subscription:sub_dead"), "evt_9")
        assert self.redis.hget(event, "state") == b"pending"
        self.redis.hset(event, "attempts", 9)
        assert self.paywall.run("worker", "--once").returncode == 1
        self.seen["PaywallStripeEventsDead"] = [self.scrape_when(above(0, "paywall_stripe_events", state="dead"))]

    def stop_the_worker(self) -> None:
        (worker,) = self.processes("paywall worker")
        os.kill(worker, signal.SIGSTOP)
        stopped, read_at = time.time(), "paywall_state_timestamp_seconds"
        first = self.scrape_when(above(stopped, read_at))
        second = self.scrape_when(above(first.value(read_at), read_at))
        os.kill(worker, signal.SIGCONT)
        for alert in ("PaywallWorkerDown", "PaywallCatchUpLate", "PaywallFullSyncLate", "PaywallSnapshotLate"):
            self.seen[alert] = [first, second]

    def restart_and_stop_reading(self) -> None:
        """Kill the worker again and again, while a record of another type keeps the state from being read."""
        approvals = KEYS.admin("approvals")
        self.redis.rename(approvals, "kept")
        self.redis.set(approvals, "not a hash")
        restarts: list[Scrape] = []
        name, labels = "process_start_time_seconds", {"process": "worker"}
        for _ in range(3):
            before = self.scrape_when(above(0, name, **labels))
            (worker,) = self.processes("paywall worker")
            os.kill(worker, signal.SIGKILL)
            known = before.value(name, **labels)
            restarts.append(self.scrape_when(above(known, name, **labels)))
        self.seen["PaywallProcessRestarts"] = restarts
        self.seen["PaywallStateUnread"] = [
            self.scrape_when(lambda now: now.at - now.value("paywall_state_timestamp_seconds") > 10)
        ]
        self.redis.rename("kept", approvals)

    def fill_the_store(self) -> None:
        while (memory := self.redis.info("memory"))["used_memory"] < 0.95 * memory["maxmemory"]:
            self.redis.set(f"filler-{os.urandom(4).hex()}", b"x" * 100_000)
        full = self.scrape_when(above(0.9, "paywall_store_memory_used_ratio"))
        self.seen["PaywallStoreMemoryHigh"] = self.seen["PaywallStoreMemoryFull"] = [full]

    def end_the_store(self) -> None:
        self.store.end()

        def ask() -> None:
            for number in range(5):
                assert self.paywall.ask_once(f"down-{number}", visitor="v-down")["degraded"]

        self.seen["PaywallAnswersDegraded"] = self.rising("paywall_degraded_total", ask, 5)
        self.seen["PaywallStoreUnavailable"] = [self.scrape_when(lambda now: now.value("paywall_store_up") == 0)]

    def deliver_subscriptions(self, count: int) -> None:
        for _ in range(count):
            subscription = Made.subscription(id=f"sub_{os.urandom(6).hex()}")
            self.deliver(Made.event("customer.subscription.created", subscription, id=f"evt_{os.urandom(6).hex()}"))

    def deliver(self, event: Json, **how: Any) -> None:
        self.paywall.deliver({**event, "created": int(time.time())}, **how)

    def stripe_answers(self, status: int) -> None:
        answer = requests.post(f"{self.lookalike.url}/_lookalike/faults", json={"status": status}, timeout=60)
        assert answer.status_code == 200, answer.text

    def processes(self, words: str) -> list[int]:
        """Return the processes of the service whose command line has these words."""
        assert self.paywall.process is not None
        return [pid for pid in descendants(self.paywall.process.pid) if words in command_of(pid)]
