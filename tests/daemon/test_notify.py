from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from hermes.daemon.notify import notify_ready


def received(address: str, name: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)
        notify_ready({"NOTIFY_SOCKET": name})
        return receiver.recv(64)


def test_a_path_gets_ready(tmp_path: Path) -> None:
    """READY=1 goes to the socket that NOTIFY_SOCKET names."""
    assert received(f"{tmp_path}/n", f"{tmp_path}/n") == b"READY=1"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_gets_ready() -> None:
    """A name with @ is an abstract socket, as systemd has it."""
    name = f"hermes-test-{os.getpid()}"
    assert received(f"\0{name}", f"@{name}") == b"READY=1"


def test_nobody_asked(tmp_path: Path) -> None:
    """Without the variable, or with nobody there any more, nothing happens."""
    notify_ready({})
    notify_ready({"NOTIFY_SOCKET": ""})
    notify_ready({"NOTIFY_SOCKET": f"{tmp_path}/gone"})
