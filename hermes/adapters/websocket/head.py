"""The first bytes of a connection: who is talking, before anything is believed.

Plain HTTP and websockets share one port.  The head is read here, by us, with a
bound and a deadline, so that Host, Origin and token are checked before a
websocket library sees a byte; then the same bytes are given to whoever serves
the rest.
"""

from __future__ import annotations

import h11
import trio
from attrs import frozen

#: Bytes of a request's head: row Z5.
MAX_HEAD = 16 * 1024

#: Seconds until the head must be complete: row Z5.
HEAD_SECONDS = 5.0


class BadHead(Exception):
    """The peer did not send an HTTP request that we take; `status` is the answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@frozen
class Head:
    """A request's head; header names are lower case, in order, repeated ones kept."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, without the question mark."""
        return self.target.partition("?")[2]

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header."""
        return tuple(value for key, value in self.headers if key == name)

    @property
    def upgrade(self) -> bool:
        """Whether it asks for a websocket."""
        return any(value.strip().lower() == "websocket" for value in self.values("upgrade"))


async def read_head(stream: trio.abc.Stream) -> tuple[Head, bytes] | None:
    """Read a request's head; with it come all bytes read so far, its own included.

    Returns None where the peer went, or was silent for too long.

    Raises:
        BadHead: too large, or not HTTP.

    **Cancellation**: the stream has been read from and is of no more use.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    received = b""
    with trio.move_on_after(HEAD_SECONDS):
        while True:
            try:
                data = await stream.receive_some(MAX_HEAD - len(received))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            received += data
            try:
                parser.receive_data(bytes(data))
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                raise BadHead(error.error_status_hint, "not an HTTP request") from error
            if isinstance(event, h11.Request):
                return _head(event), received
            if len(received) >= MAX_HEAD:
                raise BadHead(431, "the request's head is too large")
    return None


def _head(request: h11.Request) -> Head:
    return Head(
        request.method.decode("latin-1"),
        request.target.decode("latin-1"),
        tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in request.headers
        ),
    )


class Rewound(trio.abc.Stream):
    """A stream whose first bytes were read already and are given once more.

    **Resources**: closing it closes the stream underneath.
    """

    def __init__(self, stream: trio.abc.Stream, received: bytes) -> None:
        self._stream = stream
        self._received = received

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Give the bytes that were read, then read on."""
        if not self._received:
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = len(self._received) if max_bytes is None else max_bytes
        given, self._received = self._received[:size], self._received[size:]
        return given

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send through the stream underneath."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Ask the stream underneath."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream underneath."""
        await self._stream.aclose()
