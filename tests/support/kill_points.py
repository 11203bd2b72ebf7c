"""The places where a daemon can be killed: around every commit and every frame.

They are counted, so that a test can go through all of them one by one, and what had
left the daemon is written down before the process dies.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import trio
from support.evidence import Frame
from wsproto.frame_protocol import FrameProtocol

#: Separates the HTTP head from the first frame.
_HEAD_END = b"\r\n\r\n"


class KillPoints:
    """Counts the places that are reached, and ends the process at one of them.

    Their names are left in the file `log`, one on each line.
    """

    def __init__(self, log: Path, kill_at: int | None) -> None:
        self._kill_at = kill_at
        # Threads reach places too, and the next of a count is theirs alone.
        self._count = itertools.count(1)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def reach(self, name: str) -> None:
        """Be at a place; the process may not leave it."""
        os.write(self._log, f"{name}\n".encode())
        if next(self._count) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class KillableStream(trio.abc.Stream):
    """The daemon's side of a connection: a place before and after all that goes through.

    What was sent is kept in the file `sent`, for `frames_of`.
    """

    def __init__(self, stream: trio.abc.Stream, points: KillPoints, sent: Path) -> None:
        self._stream = stream
        self._points = points
        self._sent = os.open(sent, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._points.reach("before sending")
        await self._stream.send_all(data)
        os.write(self._sent, data)
        self._points.reach("after sending")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._points.reach("after receiving")
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


def frames_of(sent: bytes) -> Iterator[Frame]:
    """The JSON frames in all that a daemon sent over one websocket."""
    _, _, rest = sent.partition(_HEAD_END)
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(rest)
    for frame in protocol.received_frames():
        if isinstance(frame.payload, str):
            yield json.loads(frame.payload)
