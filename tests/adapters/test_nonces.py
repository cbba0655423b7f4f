"""Test that no two texts are sealed with the same nonce, in threads and in forked processes."""

from __future__ import annotations

import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from service.adapters.crypto import NONCE, Sealer

SEALER = Sealer(["secret-of-the-tests-0123456789abcdef"], "test")


def nonce_of(sealed: str) -> bytes:
    return urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))[:NONCE]


def test_texts_sealed_by_many_threads_have_different_nonces(
    all_at_once: Callable[[int, Callable[[int], Any]], list[Any]],
) -> None:
    sealed = all_at_once(8, lambda _: [SEALER.seal(b"text") for _ in range(1_000)])
    assert len({nonce_of(text) for texts in sealed for text in texts}) == 8_000


FORKS = """
import os
from service.adapters.crypto import Sealer
sealer = Sealer(["secret-of-the-tests-0123456789abcdef"], "test")
seal = lambda: os.write(1, sealer.seal(b"text").encode() + b"\\n")
seal()
for _ in range(3):
    child = os.fork()
    if not child:
        seal()
        seal()
        os._exit(0)
    os.waitpid(child, 0)
seal()
"""


def test_forked_processes_use_different_nonces() -> None:
    found = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60)
    nonces = [nonce_of(line) for line in found.stdout.split()]
    assert len(nonces) == len(set(nonces)) == 8
    assert len({nonce[:8] for nonce in nonces}) == 4
