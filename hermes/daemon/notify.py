"""Tell whoever started the daemon that it listens (sd_notify, without a library).

One datagram replaces polling for a port: systemd waits for it, and so does
`hermes chat` when it starts a daemon in the background.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

READY = b"READY=1"


def notify_ready(environ: Mapping[str, str]) -> None:
    """Send READY=1 to NOTIFY_SOCKET; without that variable, nothing.

    A name that begins with `@` is an abstract socket.  It never waits and never
    raises: whoever asked may be gone by now, and the daemon serves all the same.
    """
    name = environ.get("NOTIFY_SOCKET")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.setblocking(False)
        sender.sendto(READY, address)
