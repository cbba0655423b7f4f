"""Test that connections whose client does not read are ended, and that other open files are left alone."""

from __future__ import annotations

import fcntl
import socket
import sys
from pathlib import Path

import pytest

from service.entrypoints.processes.web_server import UNREAD_FOR, end_unread_answers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_USER_TIMEOUT and /proc")


def test_lock_of_a_file_is_free_once_the_file_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        end_unread_answers()
    with (tmp_path / "lock").open("w") as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_connections_inherit_the_deadline_from_a_listening_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as other:
        end_unread_answers()
        options = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) for one in (listening, other)]
    assert options == [UNREAD_FOR * 1_000, 0]
