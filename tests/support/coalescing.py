"""A network that gives all that came within a moment in one read, as a busy one does."""

from __future__ import annotations

import trio

#: Seconds for which bytes pile up before they are given.
PILING = 0.01


class CoalescingStream(trio.abc.Stream):
    """Joins what comes close together; sending is as it was."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Give what came, and what comes right behind it."""
        data = await self._stream.receive_some(max_bytes)
        await trio.sleep(PILING)
        if data:
            with trio.move_on_after(PILING / 10):
                data += await self._stream.receive_some(max_bytes)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Ask the stream."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()
