"""A client that costs next to nothing, since it shares the machine with the daemon.

A websocket library would spend more on each frame than the daemon does.  This one
knows what the daemon sends: whole text frames, no masks, no extensions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from bench.process import DaemonProcess

Json = dict[str, Any]

PING, PONG, CLOSE = 0x9, 0xA, 0x8

#: Bytes read from a socket at once.
READ_BYTES = 65536

#: What the frame has that says that a turn runs.
TURN_STARTED = b'"turn":"started"'

#: A notification shows what it is within its first bytes: `{"jsonrpc":"2.0","method":...`.
PREFIX = 40


class Socket:
    """One open websocket.

    **Resources**: whoever opened it closes it.
    """

    def __init__(self, stream: trio.SocketStream, received: bytes) -> None:
        self._stream = stream
        self._received = received
        self._number = 0

    async def send(self, text: str) -> None:
        """Send a text frame."""
        await self._frame(0x1, text.encode())

    async def receive(self) -> bytes:
        """Wait for a text frame; pings are answered on the way.

        Raises:
            ConnectionError: the daemon closed.
        """
        while True:
            opcode, payload = await self._next()
            if opcode == CLOSE:
                raise ConnectionError("the daemon closed the connection")
            if opcode == PING:
                await self._frame(PONG, payload)
            else:
                return payload

    async def begin(self, method: str, params: Mapping[str, object]) -> int:
        """Send a request; returns its id."""
        self._number += 1
        frame = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        await self.send(json.dumps(frame))
        return self._number

    async def call(self, method: str, params: Mapping[str, object]) -> Json:
        """Send a request and wait for its result; notifications are dropped.

        Raises:
            RuntimeError: the answer is an error.
        """
        identity = await self.begin(method, params)
        while True:
            frame = await self.receive()
            if b'"method"' in frame[:PREFIX]:
                continue
            answer = json.loads(frame)
            if answer.get("id") == identity:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: Json = answer["result"]
                return result

    async def new(self) -> str:
        """Make a session; returns its id."""
        return str((await self.call("session/new", {"cwd": "/", "mcpServers": []}))["sessionId"])

    async def prompt(self, session: str) -> None:
        """Run a turn to its end."""
        await self.call("session/prompt", prompt_params(session))

    async def wait_for(self, text: bytes, frames: int) -> None:
        """Read on until so many frames with that text have come."""
        while frames > 0:
            frames -= text in await self.receive()

    async def aclose(self) -> None:
        """Drop the connection."""
        await trio.aclose_forcefully(self._stream)

    async def _frame(self, opcode: int, payload: bytes) -> None:
        # A client must mask; a mask of zeros leaves the bytes as they are.
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        await self._stream.send_all(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    async def _next(self) -> tuple[int, bytes]:
        while True:
            data = self._received
            if len(data) >= 2:
                size, start = data[1], 2
                if size == 126:
                    size, start = int.from_bytes(data[2:4], "big"), 4
                elif size == 127:
                    size, start = int.from_bytes(data[2:10], "big"), 10
                if len(data) >= start + size:
                    self._received = data[start + size :]
                    return data[0] & 0xF, data[start : start + size]
            more = await self._stream.receive_some(READ_BYTES)
            if not more:
                raise ConnectionError("the daemon hung up")
            self._received = data + more


def prompt_params(session: str, **hermes: object) -> Json:
    """The params of a prompt."""
    text = "Say fifty words."
    params: Json = {"sessionId": session, "prompt": [{"type": "text", "text": text}]}
    if hermes:
        params["_meta"] = {"hermes": hermes}
    return params


async def open_socket(port: int, path: str, token: str = "") -> Socket:
    """Open a websocket on loopback.

    Raises:
        ConnectionError: it was refused.

    **Resources**: the caller closes it.
    """
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    head = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {'A' * 22}==\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    await stream.send_all(head.encode())
    received = b""
    while b"\r\n\r\n" not in received:
        more = await stream.receive_some(READ_BYTES)
        if not more:
            raise ConnectionError("the daemon hung up before the upgrade")
        received += more
    answer, _, rest = received.partition(b"\r\n\r\n")
    if b" 101 " not in answer:
        raise ConnectionError(f"the upgrade was refused: {answer.decode()}")
    return Socket(stream, rest)


@asynccontextmanager
async def open_client(daemon: DaemonProcess) -> AsyncIterator[Socket]:
    """An initialized client of `/acp`."""
    socket = await open_socket(daemon.port, "/acp", daemon.token("session"))
    try:
        await socket.call("initialize", {"protocolVersion": 1})
        yield socket
    finally:
        await socket.aclose()
