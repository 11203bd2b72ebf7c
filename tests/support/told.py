"""What a daemon told its clients, and when, counted in events of its disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from attrs import define, field
from support.evidence import Frame
from support.kill_points import frames_of


@define
class Told:
    """All bytes of each connection with the count of events by then."""

    now: Callable[[], int]
    connections: list[list[tuple[int, bytes]]] = field(factory=list)

    def wire(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Listen to a connection."""
        sent: list[tuple[int, bytes]] = []
        self.connections.append(sent)
        return _Heard(stream, lambda data: sent.append((self.now(), data)))

    def until(self, count: int, connection: int | None = None) -> Sequence[Frame]:
        """The frames that had been sent when that many events had happened."""
        chosen = self.connections if connection is None else [self.connections[connection]]
        return [
            frame
            for sent in chosen
            for frame in frames_of(b"".join(data for at, data in sent if at <= count))
        ]


class _Heard(trio.abc.Stream):
    """A stream whose sent bytes are noted."""

    def __init__(self, stream: trio.abc.Stream, note: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._note = note

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self._note(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()
