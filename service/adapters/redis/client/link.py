"""The link to the store: the one wait of a check, the scripts, and everything slower.

Every call either answers or raises: StoreUnavailable where the store cannot be reached or written now, StoreError where
it refused what was asked. `read` and `run` are the hot path; what they do without is redis-py's command machinery.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.breaker import Breaker
from service.adapters.redis.client.connection import Part, ReplyError, pack
from service.adapters.redis.client.discovery import Discovery
from service.adapters.redis.client.errors import StoreError, outage_in
from service.adapters.redis.client.exchange import Question, Redirect, ask, ask_all, redirect_in
from service.adapters.redis.client.nodes import Node, View
from service.adapters.redis.client.scripts import Script, registered
from service.adapters.redis.client.server_info import SETTINGS, facts_in
from service.domain.errors import StoreUnavailable

Command = tuple[bytes, tuple[bytes, ...]]
"""A routing key, and a command's parts."""

_Packed = tuple[bytes, bytes]  # routing key, packed command

_CHUNK = 200  # commands in one write of a pipeline: no reply waits for a long row of others
_REDIRECTS = 5  # how often one request is sent to a cluster that sends it elsewhere
_PROBE_SECONDS = b"60"
_LOCAL = frozenset({"noperm", "tryagain"})  # one command's trouble, not the store's: the breaker stays closed


class Link:
    """The store behind an address. Nothing connects and no thread starts before the first use or `start()`.

    `timeout` (seconds) bounds every wait, `probe_every` is the pause between probes while the store is away, and
    `on_change(available, why)` is told of every change. Safe for many threads, and after a fork.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 0.25,
        probe_every: float = 0.1,
        on_change: Callable[[bool, str], None] | None = None,
        probe_key: bytes = b"pw:probe",
    ) -> None:
        self.address = address
        self._timeout = timeout
        self._probe_key = probe_key
        self._discovery = Discovery(address, timeout)
        self._breaker = Breaker(self._probe, wait=timeout, every=probe_every, on_change=on_change, look=self._look)
        _LINKS.add(self)

    def start(self) -> None:
        """Start the prober: at once it looks for the store. Once a process, after the fork; again does nothing."""
        self._breaker.start()

    def close(self) -> None:
        """End the prober and close the idle connections; calls under way finish, later ones fail."""
        self._breaker.close()

    @property
    def available(self) -> bool:
        """False while the breaker is open: calls then fail at once."""
        return not self._breaker.is_open

    @property
    def why(self) -> str:
        """The word for what opened the breaker, or "" """
        return self._breaker.why

    def wait(self, seconds: float) -> bool:
        """Wait until the store is there, at most so long. For commands; a request never waits."""
        return self._breaker.settled(seconds)

    # The hot path.

    def read(self, commands: Sequence[Command]) -> list[Any]:
        """Ask everything in one wait; raw replies (bytes, int, list, None) in the order of the commands.

        For reads only: where an idle connection turns out to be closed, all is asked once more on a fresh one.
        """
        view = self._breaker.view or self._breaker.admit()
        if view.slots:
            return self._checked(view, self._spread(view, [(key, pack(parts)) for key, parts in commands], again=True))
        packed = b"".join([pack(parts) for _, parts in commands])
        return self._checked(view, self._ask(view, view.masters[0], packed, len(commands), again=True))

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Part]) -> Any:
        """Run a script, whose keys share a slot. Never sent twice, except where the store did not know it."""
        view = self._breaker.view or self._breaker.admit()
        packed = pack((b"EVALSHA", script.sha, len(keys), *keys, *args))
        reply = self._one(view, keys[0], packed)
        if reply.__class__ is ReplyError and str(reply).startswith("NOSCRIPT"):
            # EVAL loads and runs it wherever a cluster sends the question; SCRIPT LOAD would stay behind.
            reply = self._one(view, keys[0], pack((b"EVAL", script.text, len(keys), *keys, *args)))
        return self._checked(view, [reply])[0]

    # Slower paths.

    def call(self, key: bytes, *parts: Part) -> Any:
        """One command on one key, read or write; never sent twice."""
        view = self._breaker.view or self._breaker.admit()
        return self._checked(view, [self._one(view, key, pack(parts))])[0]

    def pipeline(self, commands: Sequence[tuple[bytes, tuple[Part, ...]]]) -> list[Any]:
        """Many commands over many keys, in bounded writes; nothing is sent twice, so it may write.

        Each command stands alone: where one fails, those before it and some after it may be done.
        """
        replies: list[Any] = []
        for start in range(0, len(commands), _CHUNK):
            view = self._breaker.view or self._breaker.admit()
            packed = [(key, pack(parts)) for key, parts in commands[start : start + _CHUNK]]
            replies += self._checked(view, self._spread(view, packed, again=False))
        return replies

    def each_master(self, *parts: Part) -> list[tuple[str, Any]]:
        """One command on every master: (host:port, reply). For INFO, CONFIG GET, DBSIZE."""
        view = self._breaker.view or self._breaker.admit()
        packed = pack(parts)
        found = [(str(node.endpoint), self._ask(view, node, packed, 1, again=False)) for node in view.masters]
        return [(name, self._checked(view, replies)[0]) for name, replies in found]

    def scan_nodes(self, match: bytes, count: int = 500) -> Iterator[list[bytes]]:
        """Every key that matches the glob pattern, a page at a time, on every master; a key may come twice."""
        view = self._breaker.view or self._breaker.admit()
        for node in view.masters:
            cursor = b"0"
            while True:
                packed = pack((b"SCAN", cursor, b"MATCH", match, b"COUNT", count))
                cursor, page = self._checked(view, self._ask(view, node, packed, 1, again=True))[0]
                if page:
                    yield page
                if cursor == b"0":
                    break

    def ready(self) -> bool:
        """Whether the store can be reached and written now, with every script loaded: for `/readyz`."""
        try:
            view = self._breaker.view or self._breaker.admit()
        except StoreUnavailable:
            return False
        try:
            self._try(view)
        except StoreUnavailable as failure:
            self._breaker.fail(view, failure.why)
            return False
        return True

    def info(self) -> dict[str, object]:
        """What `doctor` wants to know of the first master: `{"server", "version", "mode", "masters", "replicas"}`.

        Besides, where CONFIG may be read: `appendonly`, `appendfsync`, `maxmemory`, `maxmemory-policy`, `save`,
        `min-replicas-to-write`, `min-replicas-max-lag`, each as the store words it; without leave they are left out.
        """
        view = self._breaker.view or self._breaker.admit()
        node = view.masters[0]
        facts = facts_in(self._checked(view, self._ask(view, node, pack((b"INFO",)), 1, again=True))[0])
        found: dict[str, object] = {
            "server": "valkey" if "valkey_version" in facts else "redis",
            "version": facts.get("valkey_version") or facts.get("redis_version", ""),
            "mode": self.address.kind,
            "masters": len(view.masters),
            "replicas": int(facts.get("connected_slaves", "0")),
        }
        asked = b"".join(pack((b"CONFIG", b"GET", name)) for name in SETTINGS)
        for reply in self._ask(view, node, asked, len(SETTINGS), again=True):
            if isinstance(reply, list) and len(reply) == 2:  # an error where CONFIG is forbidden, as hosts often do
                found[reply[0].decode()] = reply[1].decode()
        return found

    # How a question gets to its server and back.

    def _ask(self, view: View, node: Node, packed: bytes, count: int, *, again: bool) -> list[Any]:
        try:
            return ask(node, packed, count, again=again)
        except StoreUnavailable as failure:
            self._breaker.fail(view, failure.why)
            raise

    def _one(self, view: View, key: bytes, packed: bytes) -> Any:
        if view.slots:
            return self._spread(view, [(key, packed)], again=False)[0]
        return self._ask(view, view.masters[0], packed, 1, again=False)[0]

    def _checked(self, view: View, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if reply.__class__ is ReplyError:
                self._refused(view, str(reply))
        return replies

    def _refused(self, view: View, text: str) -> NoReturn:
        why = outage_in(text)
        if why is None:
            # The store repeats the arguments of a command that it does not know: a reader's id could be one.
            raise StoreError(text.split(", with args beginning with", 1)[0])
        if why not in _LOCAL:
            self._breaker.fail(view, why)
        raise StoreUnavailable(why, text)

    def _spread(self, view: View, commands: Sequence[_Packed], *, again: bool) -> list[Any]:
        """One reply a command, from wherever its key lies; follows a cluster's redirections, but not for ever."""
        replies: list[Any] = [None] * len(commands)
        waiting = {number: Question(view.node(key), packed) for number, (key, packed) in enumerate(commands)}
        try:
            for turn in range(_REDIRECTS):
                sent_on: dict[int, tuple[Question, Redirect]] = {}
                found = ask_all(list(waiting.values()), again=again)
                for (number, question), reply in zip(waiting.items(), found, strict=True):
                    replies[number] = reply
                    if redirect := redirect_in(reply, question.node):
                        sent_on[number] = (question, redirect)
                if not sent_on or turn == _REDIRECTS - 1:
                    break
                view = self._learned(view, list(sent_on.values()), turn)
                waiting = {number: self._elsewhere(view, *sent) for number, sent in sent_on.items()}
        except StoreUnavailable as failure:
            self._breaker.fail(view, failure.why)
            raise
        return replies

    def _learned(self, view: View, sent_on: list[tuple[Question, Redirect]], turn: int) -> View:
        """What the redirections teach: after a MOVED all slots are asked for anew; TRYAGAIN wants a moment."""
        kinds = {redirect.kind: question.node for question, redirect in sent_on}
        if "TRYAGAIN" in kinds:
            time.sleep(0.002 * 2**turn)
        if "MOVED" not in kinds:
            return view
        newer = self._discovery.again(view, kinds["MOVED"])
        self._breaker.renew(view, newer)
        return newer

    def _elsewhere(self, view: View, question: Question, redirect: Redirect) -> Question:
        node = next((node for node in view.masters if node.endpoint == redirect.endpoint), None)
        return Question(node or self._discovery.node(redirect.endpoint), question.packed, redirect.kind == "ASK")

    # The prober's part.

    def _probe(self) -> View:
        """The first opinion on who the store is that holds: every master answers, has the scripts, can be written."""
        failure = StoreUnavailable("no_master")
        for view in self._discovery.views():
            try:
                self._try(view)
            except StoreUnavailable as error:
                view.retire()
                failure = error
            else:
                return view
        raise failure

    def _try(self, view: View) -> None:
        scripts = registered()
        load = b"".join([pack((b"SCRIPT", b"LOAD", script.text)) for script in scripts])
        for node in view.masters:
            write = pack((b"SET", view.key_at(node, self._probe_key), b"1", b"EX", _PROBE_SECONDS))
            for reply in ask(node, load + write, len(scripts) + 1, again=False):
                if reply.__class__ is ReplyError:
                    raise StoreUnavailable(outage_in(str(reply)) or "refused", str(reply))

    def _look(self, view: View) -> None:
        """Whether the master is still the one, and takes writes: who only reads would not notice.

        It asks for a write that changes nothing, as its key is never there. What does not answer is left to the requests.
        """
        if self.address.kind == "sentinel" and self._discovery.deposed(view):
            raise StoreUnavailable("no_master", "the sentinels name another master")
        for node in view.masters:
            nothing = pack((b"SET", view.key_at(node, self._probe_key + b":none"), b"1", b"XX"))
            try:
                (reply,) = ask(node, nothing, 1, again=True)
            except StoreUnavailable:
                return
            why = outage_in(str(reply)) if reply.__class__ is ReplyError else None
            if why not in (None, "moved", *_LOCAL):
                raise StoreUnavailable(why or "", str(reply))


_LINKS: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    """In a child: the parent's connections and its prober are not ours (to close our copies leaves theirs alone)."""
    for link in _LINKS:
        link._breaker.reset()


os.register_at_fork(after_in_child=_forked)
