"""One HTTP request over a bare stream, for what a well-behaved client would not send."""

from __future__ import annotations

import json
from typing import Any

import h11
import trio
from attrs import frozen

#: The key of the example in RFC 6455, 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@frozen
class HttpReply:
    """A whole answer; header names are lower case.  `status` is None where there was none."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def upgrade(
    path: str = "/acp",
    token: str | None = None,
    *headers: str,
    host: str | None = "hermes.test",
    method: str = "GET",
) -> bytes:
    """A websocket's opening request; `headers` are whole lines."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *headers,
    ]
    if host is not None:
        lines.append(f"Host: {host}")
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def get(path: str, *headers: str, host: str = "hermes.test", method: str = "GET") -> bytes:
    """A plain request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def exchange(stream: trio.abc.Stream, request: bytes) -> HttpReply:
    """Send bytes and read the answer: to its end, or to the end of a 101's head."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "h"), ("Upgrade", "x")]))
    parser.send(h11.EndOfMessage())
    try:
        await stream.send_all(request)
    except trio.BrokenResourceError:
        return HttpReply(None)
    reply = HttpReply(None)
    body = b""
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:  # it hung up before its answer was whole
            return reply
        match event:
            case h11.NEED_DATA:
                try:
                    parser.receive_data(bytes(await stream.receive_some()))
                except trio.BrokenResourceError:
                    return reply
            case h11.InformationalResponse() | h11.Response():
                headers = tuple((k.decode(), v.decode()) for k, v in event.headers)
                reply = HttpReply(event.status_code, headers)
                if event.status_code == 101:
                    return reply
            case h11.Data():
                body += event.data
            case _:
                return HttpReply(reply.status, reply.headers, body)
