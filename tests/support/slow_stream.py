"""A peer that stops reading, or from which nothing comes any more, as its daemon sees it."""

from __future__ import annotations

import trio
from attrs import define, field


def _open() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@define
class Valve:
    """What lets bytes through to a peer (`out`) and from it (`into`), once it is set."""

    out: trio.Event = field(factory=_open)
    into: trio.Event = field(factory=_open)


class ValveStream(trio.abc.Stream):
    """The daemon's side of a connection, with a valve in it."""

    def __init__(self, stream: trio.abc.Stream, valve: Valve) -> None:
        self._stream = stream
        self._valve = valve

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._valve.out.wait()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._valve.out.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        await self._valve.into.wait()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
