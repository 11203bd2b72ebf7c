"""A connection whose other end may stop taking bytes, as a full socket does."""

from __future__ import annotations

import trio


class NarrowStream(trio.abc.Stream):
    """A stream that, while shut, takes half of what is sent and then waits.

    `sent` are the bytes that it took, `closed` whether it was closed.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.sent = bytearray()
        self.closed = False
        self._stream = stream
        self._gate = trio.Event()
        self._gate.set()

    def shut(self) -> None:
        """Take no more than half a packet from now on."""
        self._gate = trio.Event()

    def open(self) -> None:
        """Take everything again."""
        self._gate.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        half = len(data) // 2
        await self._take(data[:half])
        await self._gate.wait()
        await self._take(data[half:])

    async def _take(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self.sent += data

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._gate.wait()

    async def aclose(self) -> None:
        self.closed = True
        self._gate.set()
        await self._stream.aclose()
