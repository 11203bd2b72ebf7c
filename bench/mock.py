"""The model of the bench: a server that does as little as HTTP allows.

It runs in a process of its own, so that its work is in nobody's figures.  Each
event is an HTTP chunk, as providers send them; the first part of the path says
how fast they come.  `python -m bench.mock` prints its port and serves until it is
killed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import frozen

#: Pieces of text in a reply, and seconds over which "slow" spreads them: issue 5's turn.
CHUNKS = 50
SLOW_SECONDS = 2.0

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

#: Bytes read from a socket at once.
READ_BYTES = 65536


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(delta: object, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "model": "mock"}
    return _chunk(b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n")


PIECES = [_event({"content": f"word{number:02} "}) for number in range(CHUNKS)]
END = _event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
INSTANT = HEAD + b"".join(PIECES) + END


@frozen
class Mock:
    """Where the mock listens."""

    port: int

    def base_url(self, pace: str) -> str:
        """The API at one pace: "instant", "slow", or "never" for no answer at all."""
        return f"http://127.0.0.1:{self.port}/{pace}/v1"


@asynccontextmanager
async def open_mock() -> AsyncIterator[Mock]:
    """Run the mock in a process for as long as the body runs."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "bench.mock"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield Mock(int(await process.stdout.receive_some()))
    finally:
        process.kill()
        await process.wait()


async def _serve(stream: trio.SocketStream) -> None:
    data = b""
    try:
        while True:
            head, _, body = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if length is None or len(body) < int(length[1]):
                more = await stream.receive_some(READ_BYTES)
                if not more:
                    return
                data += more
                continue
            data = body[int(length[1]) :]
            await _reply(stream, head)
    except trio.BrokenResourceError:
        return
    finally:
        await trio.aclose_forcefully(stream)


async def _reply(stream: trio.SocketStream, head: bytes) -> None:
    if b" /slow/" in head:
        await stream.send_all(HEAD)
        for piece in PIECES:
            await trio.sleep(SLOW_SECONDS / CHUNKS)
            await stream.send_all(piece)
        await stream.send_all(END)
    elif b" /never/" in head:
        await trio.sleep_forever()
    else:
        await stream.send_all(INSTANT)


async def _main() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=2048)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(_serve, listeners)


if __name__ == "__main__":
    trio.run(_main)
