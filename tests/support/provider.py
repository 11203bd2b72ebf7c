"""A provider of raw bytes on loopback, for what a well-behaved server cannot be made to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import trio
from attrs import define, field, frozen

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def delta(text: str) -> bytes:
    """An event with a piece of text, its characters as UTF-8."""
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def error_head(status: str, body: bytes, *headers: str) -> bytes:
    """A whole error answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@frozen
class RawClient:
    """One connection as the provider sees it; `head` and `body` are of its request.

    `gone` is set when the script has returned, after a hang-up for most scripts.
    """

    stream: trio.SocketStream
    head: str
    body: bytes
    gone: trio.Event = field(factory=trio.Event, eq=False)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def wait_hung_up(self) -> None:
        """Return when the client has closed its side, cleanly or by a reset."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return

    async def next_request(self) -> RawClient | None:
        """Wait for another request on the same connection; None where the client hung up."""
        return await _read_request(self.stream)


Script = Callable[[RawClient], Awaitable[None]]


@define
class RawProvider:
    """Runs its script for each connection and keeps what was asked."""

    base_url: str
    clients: list[RawClient] = field(factory=list)


async def serve_provider(script: Script, *, task_status: trio.TaskStatus[RawProvider]) -> None:
    """Serve until cancelled; a connection is closed when its script returns."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    provider = RawProvider(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1")

    async def serve_client(stream: trio.SocketStream) -> None:
        async with stream:
            client = await _read_request(stream)
            if client is not None:
                provider.clients.append(client)
                await script(client)
                client.gone.set()

    task_status.started(provider)
    await trio.serve_listeners(serve_client, listeners)


async def _read_request(stream: trio.SocketStream) -> RawClient | None:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        if not await _read_more(stream, data):
            return None
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    body = bytearray(rest)
    while len(body) < length:
        if not await _read_more(stream, body):
            return None
    return RawClient(stream, head.decode(), bytes(body))


async def _read_more(stream: trio.SocketStream, data: bytearray) -> bool:
    try:
        more = await stream.receive_some()
    except trio.BrokenResourceError:
        return False
    data += more
    return bool(more)
